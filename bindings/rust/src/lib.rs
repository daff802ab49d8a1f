#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod array;
mod context;
mod error;
mod fit;
mod group;
mod model;
#[allow(missing_docs)]
#[rustfmt::skip]
pub mod sys;
mod tensor;
mod trainer;
#[rustfmt::skip]
mod types;
mod value;
mod views;

pub use array::{Array, Element, Image, Pixel};
pub use context::{job_schema, CancelHandle, Context, Log, OnProgress};
pub use error::{Error, Result};
pub use fit::Interface;
pub use group::Group;
pub use model::Model;
pub use tensor::Tensor;
pub use trainer::Trainer;
pub use types::*;
pub use views::{Crops, Loader, Views};

/// What the loaded library says of itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Library {
    /// What it offers.
    pub interface: Interface,
    /// "0.1.0"
    pub version: &'static str,
    /// JSON: version, abi, the LibTorch it was built for and where it looks for it.
    pub build_info: &'static str,
}

/// The loaded library. [`Status::Version`]: it does not fit this crate. Any thread, any time.
pub fn library() -> Result<Library> {
    fit::check()?;
    let (version, build_info) = unsafe { (sys::udi_version_string(), sys::udi_build_info()) };
    let (version, build_info) = unsafe { (error::text(version), error::text(build_info)) };
    Ok(Library { interface: Interface::of_library(), version, build_info })
}
