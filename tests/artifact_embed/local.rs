//! Images of this machine: layouts that umoci makes, archives that skopeo writes.

use super::*;

/// A layout with the image `1` of two layers.
fn by_umoci(desk: &Desk, folder: &str) -> PathBuf {
    let layout = desk.scratch.join(folder);
    let path = layout.to_str().unwrap();
    theirs("umoci", &["init", "--layout", path]);
    let image = format!("{path}:1");
    theirs("umoci", &["new", "--image", &image]);
    for name in ["base", "top"] {
        let file = desk.scratch.join(name);
        fs::write(&file, Digest::of(name.as_bytes()).hex().repeat(200)).unwrap();
        let target = format!("/{name}");
        let words = [
            "insert",
            "--rootless",
            "--image",
            &image,
            file.to_str().unwrap(),
            &target,
        ];
        theirs("umoci", &words);
    }
    layout
}

/// The digest of what skopeo sees at `place`.
fn digest_at(place: &str) -> String {
    Digest::of(&theirs("skopeo", &["inspect", "--raw", place]).stdout).to_string()
}

fn containers(opened: &Opened) -> Vec<&str> {
    let list = opened.meta_data["containers"].as_array().unwrap().iter();
    list.map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn a_layout_travels_under_the_digest_that_it_has() {
    let desk = Desk::new();
    let layout = by_umoci(&desk, "My_Layout");
    let place = format!("oci:{}:1", layout.display());
    let digest = digest_at(&place);
    let archive = format!("oci-archive:{}:1", desk.scratch.join("l.tar").display());
    theirs("skopeo", &["copy", &place, &archive]);
    for (word, name) in [
        ("oci:My_Layout:1", "localhost/my-layout:1"),
        ("oci:My_Layout", "localhost/my-layout:1"),
        ("oci-archive:l.tar:1", "localhost/l:1"),
    ] {
        let summary = desk.summary("a", &[word]);
        let opened = desk.opened("a");
        assert_eq!(containers(&opened), [format!("{name}@{digest}")], "{word}");
        let entry = &opened.index()["manifests"][0];
        assert_eq!(entry["digest"], json!(digest));
        assert_eq!(
            entry["annotations"],
            json!({"io.containerd.image.name": name})
        );
        assert_eq!(summary["images"][0]["requested"], json!(word));
        let copy = opened.layout(desk.scratch.join("copy"), 0);
        assert_eq!(digest_at(&copy), digest);
        let to = format!("dir:{}", desk.scratch.join("dir").display());
        theirs("skopeo", &["copy", &copy, &to]);
        for folder in ["copy", "dir"] {
            fs::remove_dir_all(desk.scratch.join(folder)).unwrap();
        }
        let path = desk.scratch.join("a");
        theirs("mender-artifact", &["validate", path.to_str().unwrap()]);
    }
    assert_eq!(desk.registry.requests().len(), 0);
}

#[test]
fn a_docker_archive_has_a_name_and_no_digest() {
    let desk = Desk::new();
    let layout = by_umoci(&desk, "l");
    let tar = desk.scratch.join("saved.tar");
    let from = format!("oci:{}:1", layout.display());
    let to = format!("docker-archive:{}:shop/web:1", tar.display());
    theirs("skopeo", &["copy", &from, &to]);
    let first = desk.make("a", &["docker-archive:saved.tar:shop/web:1"]);
    assert!(
        first.contains("      digest:   none, it comes from a docker-archive\n"),
        "{first}"
    );
    let opened = desk.opened("a");
    assert_eq!(containers(&opened), ["shop/web:1"]);
    assert_eq!(
        opened.index()["manifests"][0]["annotations"],
        json!({"io.containerd.image.name": "docker.io/shop/web:1", "dray.made-here": "true"})
    );
    let read = succeed(&mut desk.program(&["read", "--format", "json", "a"]));
    let read: Value = serde_json::from_str(&read).unwrap();
    assert_eq!(
        read["payloads"][0]["carried"]["images"],
        json!([{"name": "docker.io/shop/web:1", "digest": null}])
    );
    let copy = opened.layout(desk.scratch.join("copy"), 0);
    let inspected = theirs("skopeo", &["inspect", "--config", &copy]).stdout;
    let inspected: Value = serde_json::from_slice(&inspected).unwrap();
    let original = theirs("skopeo", &["inspect", "--config", &from]).stdout;
    let original: Value = serde_json::from_slice(&original).unwrap();
    assert_eq!(inspected["rootfs"], original["rootfs"]);
    let to = format!("dir:{}", desk.scratch.join("dir").display());
    theirs("skopeo", &["copy", &copy, &to]);

    // Packed as a whole it is the same, and so it is without its name.
    let bytes = fs::read(&tar).unwrap();
    let packed = zstd::bulk::compress(&bytes, 3).unwrap();
    fs::write(desk.scratch.join("saved.tar.zst"), packed).unwrap();
    theirs("gzip", &["-k", tar.to_str().unwrap()]);
    let before = fs::read(desk.scratch.join("a")).unwrap();
    for word in [
        "docker-archive:saved.tar",
        "docker-archive:saved.tar.zst",
        "docker-archive:saved.tar.gz:docker.io/shop/web:1",
    ] {
        desk.make("a", &[word]);
        assert!(
            fs::read(desk.scratch.join("a")).unwrap() == before,
            "{word}"
        );
    }
}

#[test]
fn whole_names_and_several_platforms_in_a_layout_count() {
    let desk = Desk::new();
    let shared = layer("shared", 4_000);
    let of = |platform: &str| {
        let own = layer(platform, 3_000);
        Image::oci([shared.clone(), own]).platform(platform).build()
    };
    let [amd, arm] = ["linux/amd64", "linux/arm64"].map(of);
    let many = index(Flavour::Oci, &[&amd, &arm]);
    let layout = desk.scratch.join("l");
    many.write_layout(&layout, "1");
    let name = json!({"io.containerd.image.name": "registry.example/shop/web:1"});
    let describe = |image: &Built| json!({"mediaType": image.media_type, "digest": image.digest, "size": image.document().len(), "annotations": name});
    let list = |entries: Value| {
        let index = json!({"schemaVersion": 2, "manifests": entries});
        fs::write(layout.join("index.json"), index.to_string()).unwrap();
    };
    list(json!([describe(&many)]));
    desk.make(
        "a",
        &[
            "--platform",
            "linux/arm64",
            "oci:l:registry.example/shop/web:1",
        ],
    );
    let opened = desk.opened("a");
    let pinned = |image: &Built| format!("registry.example/shop/web:1@{}", image.digest);
    assert_eq!(containers(&opened), [pinned(&many)]);
    assert_eq!(opened.payload.len(), 7);
    agrees(&desk, &opened, 0, &arm, &["--override-arch", "arm64"]);

    // Without an index above them one platform says which one is meant.
    let mut entries = [describe(&amd), describe(&arm)];
    for (entry, architecture) in entries.iter_mut().zip(["amd64", "arm64"]) {
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
    }
    list(json!(entries));
    desk.make("a", &["--platform", "linux/arm64", "oci:l"]);
    assert_eq!(containers(&desk.opened("a")), [pinned(&arm)]);
    let (code, line) = fail(&mut desk.command(&["--embed", "oci:l"]));
    assert_eq!(
        (code, line.as_str()),
        (
            1,
            "Error: cannot take oci:l: it has several images, say behind a colon which one, or with one --platform for \
             which device: registry.example/shop/web:1, registry.example/shop/web:1\n"
        )
    );
}

#[test]
fn images_of_a_registry_and_of_this_machine_travel_together() {
    let desk = Desk::new();
    let shared = layer("shared", 4_000);
    let web = Image::oci([shared.clone(), layer("web", 100)]).build();
    let db = Image::oci([shared.clone(), layer("db", 100)]).build();
    desk.registry.push("shop/web", "1", &web);
    db.write_layout(&desk.scratch.join("db"), "9");
    desk.make("a", &["oci:db:9", "R/shop/web:1"]);
    let opened = desk.opened("a");
    let web_name = desk.registry.name("shop/web:1");
    assert_eq!(
        containers(&opened),
        [
            format!("localhost/db:9@{}", db.digest),
            format!("{web_name}@{}", web.digest),
        ]
    );
    // It is here already.
    assert_eq!(desk.asked(&blob(&shared).to_string()), 0);
    assert_eq!(
        contents(&opened)[file_of(&blob(&shared)).as_str()],
        shared.blob()
    );
}
