//! What can go wrong with a registry, said so that a person knows what to do.

use std::path::PathBuf;
use std::time::Duration;

use crate::oci::{Digest, ManifestError, MediaTypeError};

/// Why a registry did not give what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("failed to fetch {subject} from registry {registry}: {problem}")]
pub struct RegistryError {
    /// The registry as the reference names it.
    pub registry: String,
    /// What was asked for: "manifest of …", "blob sha256:… of …".
    pub subject: String,
    /// What went wrong.
    #[source]
    pub problem: Box<Problem>,
}

impl RegistryError {
    /// The same, with what the registry's mirrors had to say before it.
    pub(super) fn after(mut self, mirrors: Vec<(String, String)>) -> RegistryError {
        if !mirrors.is_empty() {
            let own = self.problem;
            self.problem = Box::new(Problem::Everywhere { own, mirrors });
        }
        self
    }

    /// Whether a transfer began and broke off, so that the same question may be answered in full the next time.
    pub fn broke_off(&self) -> bool {
        matches!(
            *self.problem,
            Problem::Interrupted(_) | Problem::TooSlow { .. }
        )
    }
}

/// The ways in which a registry fails.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Neither the registry nor any of its mirrors.
    #[error("{own}{}", mirrors.iter().map(|(mirror, problem)| format!("; its mirror {mirror}: {problem}")).collect::<String>())]
    Everywhere {
        /// Why not the registry itself.
        own: Box<Problem>,
        /// Its mirrors, and why none of them.
        mirrors: Vec<(String, String)>,
    },
    /// No connection, or none that lasted long enough for an answer.
    #[error("{0}")]
    Unreachable(String),
    /// The registry's certificate is not trusted, or is no certificate at all.
    #[error("{cause} ({hint})")]
    Tls {
        /// What the handshake said.
        cause: String,
        /// What to do about it.
        hint: String,
    },
    /// The connection broke or dried up in the middle of a body.
    #[error("the transfer broke off: {0}")]
    Interrupted(String),
    /// Slower than [`super::Patience`] allows.
    #[error("the transfer is too slow: {bytes} bytes in {} s", window.as_secs())]
    TooSlow {
        /// How much arrived.
        bytes: u64,
        /// In what time of waiting.
        window: Duration,
    },
    /// Slower than the settings allow, all in all.
    #[error("the download took longer than the {} s it may take ([download] deadline in the settings)", .0.as_secs())]
    Deadline(Duration),
    /// Nobody wants it any more.
    #[error("the download was given up")]
    GivenUp,
    /// The rest of a blob was asked for, and something else came.
    #[error("it was asked for the bytes from {asked} on and answered with {answered}")]
    Range {
        /// The first byte asked for.
        asked: u64,
        /// What it says it sent.
        answered: String,
    },
    /// Compressed on the way.
    #[error(
        "it answered in the encoding {0:?}, which was not asked for; is there a proxy in between?"
    )]
    Encoded(String),
    /// 401, and no credentials are known.
    #[error("it asks for credentials, and {} has none for it (401)", config.display())]
    NoCredentials {
        /// Docker's client configuration.
        config: PathBuf,
    },
    /// 401 in spite of credentials.
    #[error("it refuses the credentials in {} (401){}", source_of_them.display(), said(message))]
    BadCredentials {
        /// The file, or the helper's name.
        source_of_them: PathBuf,
        /// What the registry said.
        message: String,
    },
    /// 401 at a login.
    #[error("login attempt to {0} failed with status: 401 Unauthorized")]
    Login(String),
    /// 401 without a challenge that can be answered.
    #[error("it asks for an authentication that is not supported: {0:?} (401)")]
    Challenge(String),
    /// The token server is not one to send credentials to.
    #[error("it sends clients to the token server {realm:?}, which is not trusted: {reason}")]
    Realm {
        /// As the registry named it.
        realm: String,
        /// Why not.
        reason: String,
    },
    /// The token server did not give a token.
    #[error("its token server {server} gave no token: {cause}")]
    Token {
        /// Its origin.
        server: String,
        /// Why not.
        cause: String,
    },
    /// Docker's configuration or a credential helper cannot be used.
    #[error("failed to read credentials from {}: {cause}", path.display())]
    Credentials {
        /// The file, or the helper's name.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// Certificates cannot be used.
    #[error("failed to read certificates from {}: {cause}", path.display())]
    Certificates {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// 403.
    #[error("access is denied (403){}; does the account behind {} have access to the repository?", said(message), config.display())]
    Denied {
        /// Docker's client configuration.
        config: PathBuf,
        /// What the registry said.
        message: String,
    },
    /// 404.
    #[error("not found (404){}", said(.0))]
    NotFound(String),
    /// 429, for longer than it makes sense to wait.
    #[error("too many requests (429){}{}", wait.map(|w| format!(", to be tried again in {} s", w.as_secs())).unwrap_or_default(), said(message))]
    TooManyRequests {
        /// How long the registry wants to be left alone.
        wait: Option<Duration>,
        /// What the registry said.
        message: String,
    },
    /// Any other status.
    #[error("it answered with status {status}{}", said(message))]
    Status {
        /// The status.
        status: u16,
        /// What the registry said.
        message: String,
    },
    /// A page for people where data was expected.
    #[error("it answered {0}; is there a captive portal or a proxy in between?")]
    NotARegistry(String),
    /// A redirect that is not followed.
    #[error("it redirects to {target:?}: {reason}")]
    Redirect {
        /// As the registry named it.
        target: String,
        /// Why not.
        reason: &'static str,
    },
    /// The answer lacks something or contradicts itself.
    #[error("its answer is malformed: {0}")]
    Malformed(String),
    /// Something else than what was asked for.
    #[error("it delivered {found} instead of {expected}")]
    WrongDigest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// Another size than what was asked for.
    #[error("it announces {found} bytes instead of {expected}")]
    WrongSize {
        /// What the manifest says.
        expected: u64,
        /// What the registry says.
        found: u64,
    },
    /// What arrived is not an index or manifest that can be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// What was announced is not an index or manifest that can be used.
    #[error(transparent)]
    MediaType(#[from] MediaTypeError),
}

/// A registry's own words, appended to ours.
fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

/// A foreign text, fit for one line of a log.
pub(super) fn one_line(text: &str) -> String {
    /// Enough for any honest message.
    const SHOWN: usize = 200;
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SHOWN)
        .collect();
    line.truncate(line.trim_end().len());
    line
}
