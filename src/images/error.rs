//! Why an image cannot be brought, found, checked or removed.

/// What went wrong with an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImagesError {
    /// Another process is bringing images.
    #[error(
        "another dray process is bringing images; nothing was removed, try again when it is done"
    )]
    Busy,
    /// No image that is present has this name, digest or id.
    #[error("no such image: {0}")]
    Absent(String),
    /// This function is on its way.
    #[error("images are not built yet")]
    Unbuilt,
}

impl ImagesError {
    /// Whether the image is just not there, so that bringing it would help.
    pub fn is_absent(&self) -> bool {
        matches!(self, ImagesError::Absent(_))
    }
}
