//! Whether this crate and the libudi that was loaded fit each other (bindings/README.md).
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{text, Error, Result};
use crate::sys;
use crate::types::Status;

/// What a crate was made from, or what a library offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The number in the soname.
    pub abi: u32,
    /// 1002003 is 1.2.3.
    pub version: u32,
    /// 64 hexadecimal digits that name the declarations of udi.h.
    pub fingerprint: String,
}

impl Interface {
    /// What this crate was made from.
    pub fn of_crate() -> Interface {
        Interface { abi: sys::API_ABI, version: sys::API_VERSION, fingerprint: sys::API_FINGERPRINT.into() }
    }

    /// What the loaded library offers.
    pub fn of_library() -> Interface {
        let fingerprint = unsafe { text(sys::udi_api_fingerprint()) };
        unsafe {
            Interface { abi: sys::udi_abi_version(), version: sys::udi_version(), fingerprint: fingerprint.into() }
        }
    }

    /// Status::Version unless the library serves a crate of this interface: the same one, or a newer version of the
    /// same ABI.
    pub fn require(&self, library: &Interface) -> Result<()> {
        let newer = library.abi == self.abi && library.version > self.version;
        if library.fingerprint == self.fingerprint || newer {
            return Ok(());
        }
        Err(Error::new(
            Status::Version,
            format!(
                "libudi {library} does not fit this binding, made for {self}: \
                 install a library of that version or newer with the same ABI"
            ),
        ))
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (major, minor, patch) = (self.version / 1000000, self.version / 1000 % 1000, self.version % 1000);
        write!(f, "{major}.{minor}.{patch} (ABI {}, interface {:.12})", self.abi, self.fingerprint)
    }
}

fn check_layout() -> Result<()> {
    for (name, found, wanted) in sys::layout() {
        if found != wanted {
            let message = format!("{name} is at or of {found} bytes, udi.h has {wanted}: run bindings/generate");
            return Err(Error::new(Status::Version, message));
        }
    }
    Ok(())
}

/// Before the first call of anything else.
pub(crate) fn check() -> Result<()> {
    static FITS: AtomicBool = AtomicBool::new(false);
    if !FITS.load(Ordering::Relaxed) {
        check_layout()?;
        Interface::of_crate().require(&Interface::of_library())?;
        FITS.store(true, Ordering::Relaxed);
    }
    Ok(())
}
