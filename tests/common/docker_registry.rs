//! Debian's `docker-registry` as a child process, on 127.0.0.1 and a port of its own.
//!
//! ```ignore
//! let registry = DockerRegistry::start(Options::default());
//! registry.push(&image, "shop/web:1", None);
//! let name = registry.name("shop/web:1");
//! ```
//!
//! The process ends with the value. Needs the Debian packages docker-registry, skopeo and openssl.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use super::Scratch;
use super::image::Built;
use super::registry::Registry;

/// `user:secret` as htpasswd's bcrypt; `htpasswd -nbB user secret` makes another one.
const HTPASSWD: &str = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// What the registry demands.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// The user `user` with the password `secret`.
    pub password: bool,
    /// https with the certificate and key in this folder, `server.crt` and `server.key`.
    pub tls: Option<&'a Path>,
    /// Clients have to show a certificate that the authority in `ca.crt` of the same folder signed.
    pub client_certificates: bool,
}

/// The running registry.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    drain: Option<JoinHandle<()>>,
    address: String,
    #[expect(dead_code, reason = "held for the folder it removes")]
    scratch: Scratch,
}

impl DockerRegistry {
    /// Starts one and waits until it listens.
    pub fn start(options: Options) -> DockerRegistry {
        let scratch = Scratch::new("docker-registry");
        std::fs::write(scratch.join("config.yml"), config(&scratch, options)).unwrap();
        std::fs::write(scratch.join("htpasswd"), HTPASSWD).unwrap();
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(scratch.join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert_ne!(
                log.read_line(&mut line).unwrap(),
                0,
                "docker-registry ended"
            );
            if let Some((_, rest)) = line.split_once("listening on ") {
                break rest.split([',', '"', ' ', '\n']).next().unwrap().to_owned();
            }
        };
        // A full pipe would stop it.
        let drain = std::thread::spawn(move || {
            let _ = std::io::copy(&mut log, &mut std::io::sink());
        });
        DockerRegistry {
            child,
            drain: Some(drain),
            address,
            scratch,
        }
    }

    /// `127.0.0.1:PORT`
    pub fn host(&self) -> &str {
        &self.address
    }

    /// An image name here: `127.0.0.1:PORT/REST`.
    pub fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// Fills it with an image by `skopeo copy`, digests kept; `arguments` are skopeo's.
    pub fn push(&self, image: &Built, rest: &str, arguments: &[&str]) {
        // From our own registry, because skopeo finds no Docker manifests in OCI layouts.
        let source = Registry::start();
        source.push("x", "x", image);
        let output = Command::new("skopeo")
            .args(["copy", "--quiet", "--all", "--preserve-digests"])
            .args(["--src-tls-verify=false", "--dest-tls-verify=false"])
            .args(arguments)
            .arg(format!("docker://{}", source.name("x:x")))
            .arg(format!("docker://{}", self.name(rest)))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(drain) = self.drain.take() {
            let _ = drain.join();
        }
    }
}

fn config(scratch: &Scratch, options: Options) -> String {
    let mut config = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
        scratch.join("data").display()
    );
    if let Some(tls) = options.tls {
        let tls = tls.display();
        config +=
            &format!("  tls:\n    certificate: {tls}/server.crt\n    key: {tls}/server.key\n");
        if options.client_certificates {
            config += &format!("    clientcas: [{tls}/ca.crt]\n");
        }
    }
    if options.password {
        let htpasswd = scratch.join("htpasswd");
        config += &format!(
            "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            htpasswd.display()
        );
    }
    config
}

/// Makes an authority `ca.crt` and certificates signed by it: `server.crt` for `subject`, `client.crt`; keys beside
/// them as `*.key`.
/// `client-v1.crt` is the client's in X.509's first version.
pub fn make_certificates(dir: &Path, subject: &str) {
    std::fs::create_dir_all(dir).unwrap();
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .current_dir(dir)
            .args(arguments.split(' '))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    // Authorities of one name would be taken for one another.
    let name = format!("/CN=authority-for-{}", subject.replace([',', ':'], "-"));
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.crt -days 2 -subj {name}"
    ));
    for (name, extension) in [
        (
            "server",
            format!("subjectAltName={subject}\nbasicConstraints=CA:FALSE\n"),
        ),
        (
            "client",
            "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n".to_owned(),
        ),
    ] {
        std::fs::write(dir.join("extension"), extension).unwrap();
        openssl(&format!(
            "req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extension -out {name}.crt"
        ));
    }
    // One without extensions.
    openssl(
        "x509 -req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out client-v1.crt",
    );
}

/// Makes a certificate as Docker's manual does for private registries: self-signed, marked as an authority's;
/// `server.crt` and `server.key`.
pub fn make_self_signed(dir: &Path, subject: &str) {
    std::fs::create_dir_all(dir).unwrap();
    let output = Command::new("openssl")
        .current_dir(dir)
        .args([
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-sha256",
            "-keyout",
            "server.key",
            "-x509",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=self", "-out", "server.crt", "-addext"])
        .arg(format!("subjectAltName={subject}"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
