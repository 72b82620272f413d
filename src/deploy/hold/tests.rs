use std::cell::RefCell;
use std::process::{Child, Command, Stdio};

use super::*;

struct Place(Host, PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let dir = std::env::temp_dir().join(format!("dray-hold-{}-{name}", std::process::id()));
        create_dirs(&dir).unwrap();
        Place(Host::at(&dir), dir)
    }

    fn files(&self) -> Files {
        Files::of(&self.0, "shop").unwrap()
    }

    /// As if `process`, started for `client`, held the scope; the lock itself is held by `flock` below.
    fn note(&self, process: ProcessId, client: u32, claimant: &str) {
        let holder = Holder {
            process,
            client,
            boot_id: self.0.boot_id.clone(),
            claimant: claimant.to_owned(),
        };
        replace_volatile(
            &self.files().holder,
            0o600,
            &serde_json::to_vec(&holder).unwrap(),
        )
        .unwrap();
    }

    /// A process that holds the lock until it ends, and ends on SIGTERM at once.
    fn rival(&self) -> Child {
        let lock = self.files().lock;
        let mut rival = Command::new("flock")
            .arg("--no-fork")
            .arg(&lock)
            .args(["sh", "-c", "echo held; exec sleep 1000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 5];
        io::Read::read_exact(rival.stdout.as_mut().unwrap(), &mut said).unwrap();
        rival
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.1);
    }
}

#[test]
fn who_waits_who_goes_and_who_is_refused() {
    use Encounter::*;
    let verb = Claimant::Verb;
    for (claimant, holder, orphan, expected) in [
        (Claimant::Boot, "ArtifactInstall", true, Cancel),
        (Claimant::Boot, "ArtifactInstall", false, Wait),
        (Claimant::Boot, "boot", false, Wait),
        (verb(Verb::Download), "boot", true, Wait),
        (verb(Verb::ArtifactRollback), "boot", true, Wait),
        (
            verb(Verb::ArtifactRollback),
            "ArtifactInstall",
            true,
            Cancel,
        ),
        (
            verb(Verb::ArtifactRollback),
            "ArtifactInstall",
            false,
            Cancel,
        ),
        (
            verb(Verb::ArtifactFailure),
            "ArtifactRollback",
            true,
            Cancel,
        ),
        (verb(Verb::Download), "ArtifactInstall", true, Cancel),
        (verb(Verb::Cleanup), "Download", true, Cancel),
        (verb(Verb::Download), "ArtifactInstall", false, Refuse),
        (verb(Verb::Cleanup), "Download", false, Refuse),
        (
            verb(Verb::ArtifactInstall),
            "ArtifactInstall",
            false,
            Refuse,
        ),
    ] {
        assert_eq!(
            encounter(claimant, holder, orphan),
            expected,
            "{claimant:?} meets {holder}, orphan {orphan}"
        );
    }
}

#[test]
fn a_free_scope_is_taken_and_released() {
    let place = Place::new("free");
    for _ in 0..2 {
        let hold = Hold::take(&place.0, "shop", Claimant::Verb(Verb::Download), &|_| {}).unwrap();
        hold.check().unwrap();
        assert!(Exclusive::attempt(&place.files().lock).unwrap().is_none());
        assert_eq!(
            place.files().read_holder(&place.0).unwrap().claimant,
            "Download"
        );
    }
}

#[test]
fn a_marker_ends_only_the_process_it_names() {
    let place = Place::new("marker");
    let hold = Hold::take(
        &place.0,
        "shop",
        Claimant::Verb(Verb::ArtifactInstall),
        &|_| {},
    )
    .unwrap();
    let own = ProcessId::own().unwrap();
    let earlier = ProcessId {
        start_time: own.start_time - 1,
        ..own.clone()
    };
    for (named, aborted) in [(earlier, false), (own, true)] {
        replace_volatile(
            &place.files().abort,
            0o600,
            &serde_json::to_vec(&named).unwrap(),
        )
        .unwrap();
        assert_eq!(hold.check().is_err(), aborted, "{named:?}");
    }
    drop(hold);
    let next = Hold::take(
        &place.0,
        "shop",
        Claimant::Verb(Verb::ArtifactRollback),
        &|_| {},
    )
    .unwrap();
    next.check().unwrap();
    assert!(!place.files().abort.exists());
}

#[test]
fn a_second_client_is_refused_and_the_first_left_alone() {
    let place = Place::new("busy");
    let mut rival = place.rival();
    let pid = rival.id() as i32;
    place.note(
        ProcessId::of(pid).unwrap(),
        std::process::id(),
        "ArtifactInstall",
    );
    let error = Hold::take(&place.0, "shop", Claimant::Verb(Verb::Download), &|_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "another deployment of scope \"shop\" is at work: ArtifactInstall in process {pid}"
        )
    );
    assert!(rival.try_wait().unwrap().is_none(), "it still runs");
    rival.kill().unwrap();
    rival.wait().unwrap();
}

#[test]
fn a_rollback_ends_the_holder_with_marker_and_signal() {
    let place = Place::new("cancel");
    let mut rival = place.rival();
    let process = ProcessId::of(rival.id() as i32).unwrap();
    place.note(process.clone(), std::process::id(), "ArtifactInstall");
    let said = RefCell::new(Vec::new());
    let waiter = std::thread::spawn(move || rival.wait().unwrap());
    let lock = wait_for_lock(
        &place.0,
        &place.files(),
        Claimant::Verb(Verb::ArtifactRollback),
        &|line| {
            said.borrow_mut().push(line.to_owned());
        },
    );
    let status = waiter.join().unwrap();
    lock.unwrap();
    assert_eq!(
        said.into_inner(),
        [format!(
            "cancelling ArtifactInstall in process {}",
            process.pid
        )]
    );
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(15)
    );
    let marker: ProcessId =
        serde_json::from_slice(&fs::read(&place.files().abort).unwrap()).unwrap();
    assert_eq!(marker, process);
}
