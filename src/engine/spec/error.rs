//! Why a configuration cannot become a container.

/// Why a configuration cannot become a container.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Only until the room is complete.
    #[error("runtime configuration is not built yet")]
    Unbuilt,
}
