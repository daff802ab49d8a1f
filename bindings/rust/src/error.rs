//! Failures, and the calls that report them.
use std::ffi::{CStr, CString};
use std::fmt;
use std::mem::MaybeUninit;
use std::os::raw::c_char;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{null_mut, NonNull};

use crate::sys;
use crate::types::Status;

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Error {
    /// What kind of failure.
    pub status: Status,
    /// errno or a CUDA error, else 0.
    pub native_code: i32,
    /// What, which value, which limit, what to do.
    pub message: String,
}

/// What calls give back.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Error {
        Error { status, native_code: 0, message: message.into() }
    }

    fn of(status: sys::udi_status, detail: &sys::udi_error) -> Error {
        let message = unsafe { CStr::from_ptr(detail.message.as_ptr()) }.to_string_lossy().into_owned();
        match Status::known(status) {
            Some(status) => Error { status, native_code: detail.native_code, message },
            None => Error::new(Status::Internal, format!("{}: {message}", status_name(status))),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.status.name(), self.message)
    }
}

impl std::error::Error for Error {}

/// What the library calls a status, also one of a newer library than this crate.
fn status_name(status: sys::udi_status) -> &'static str {
    unsafe { text(sys::udi_status_name(status)) }
}

/// A call that gives a status.
pub(crate) fn call(function: impl FnOnce(*mut sys::udi_error) -> sys::udi_status) -> Result<()> {
    let mut detail = MaybeUninit::<sys::udi_error>::zeroed();
    match function(detail.as_mut_ptr()) {
        sys::UDI_OK => Ok(()),
        status => Err(Error::of(status, unsafe { &detail.assume_init() })),
    }
}

/// A call that gives a pointer.
pub(crate) fn made<T>(
    function: impl FnOnce(*mut *mut T, *mut sys::udi_error) -> sys::udi_status,
) -> Result<NonNull<T>> {
    let mut out = null_mut();
    call(|error| function(&mut out, error))?;
    NonNull::new(out).ok_or_else(|| Error::new(Status::Internal, "libudi gave NULL for a success"))
}

/// Text of the library's own. Safety: chars is NULL or lives for 'a.
pub(crate) unsafe fn text<'a>(chars: *const c_char) -> &'a str {
    if chars.is_null() {
        return "";
    }
    CStr::from_ptr(chars).to_str().unwrap_or("")
}

pub(crate) fn c_text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::new(Status::Invalid, format!("{text:?} holds a zero byte")))
}

pub(crate) fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::new(Status::Invalid, format!("{path:?} holds a zero byte")))
}
