//! What a pull tells while it goes on.

use crate::oci::{Digest, Reference};

/// One step of a pull. Sizes are of the compressed blob.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The registry said what the reference means.
    Resolved {
        /// What was asked for.
        reference: &'a Reference,
        /// What it is.
        digest: Digest,
    },
    /// What nobody needed was removed to make room.
    Freed {
        /// How much that was.
        bytes: u64,
    },
    /// There was no room otherwise, and is so.
    GivenUp {
        /// Who has pinned nothing any more.
        holder: &'a str,
    },
    /// A layer will be fetched.
    Planned {
        /// Its diff id.
        layer: Digest,
        /// Its compressed size.
        size: u64,
    },
    /// A layer is here already.
    Present {
        /// Its diff id.
        layer: Digest,
    },
    /// A layer is here, but damaged; it is fetched again.
    Damaged {
        /// Its diff id.
        layer: Digest,
    },
    /// A layer's download begins.
    Started {
        /// Its diff id.
        layer: Digest,
        /// Its compressed size.
        size: u64,
    },
    /// Some of a layer's bytes have arrived since the last such event.
    Received {
        /// Its diff id.
        layer: Digest,
        /// How many.
        bytes: u64,
    },
    /// The same of bytes that came with an earlier pull.
    Found {
        /// Its diff id.
        layer: Digest,
        /// How many.
        bytes: u64,
    },
    /// All that was wanted is here, and it was not quite simple.
    Arrived {
        /// Where it came from, besides the registry itself.
        mirrors: &'a [String],
        /// How often a broken connection was made again.
        resumed: u64,
        /// Bytes that were fetched twice because of that.
        refetched: u64,
    },
    /// A layer is unpacked and verified; it is durable when the pull returns.
    Unpacked {
        /// Its diff id.
        layer: Digest,
    },
}

/// Who is told. Called from several threads at once.
pub trait Progress: Sync {
    /// Takes one step.
    fn event(&self, event: &Event<'_>);

    /// Whether nobody wants the image any more; asked whenever bytes arrive.
    fn is_cancelled(&self) -> bool {
        false
    }
}

impl<F: Fn(&Event<'_>) + Sync> Progress for F {
    fn event(&self, event: &Event<'_>) {
        self(event);
    }
}

/// Tells nobody.
impl Progress for () {
    fn event(&self, _event: &Event<'_>) {}
}
