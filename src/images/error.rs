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
    /// This function is on its way.
    #[error("images are not built yet")]
    Unbuilt,
}
