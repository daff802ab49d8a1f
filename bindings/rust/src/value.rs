//! What types.rs is written with: enumerations, configurations and results, and their way from and to the structs of C.
use std::ffi::CStr;
use std::os::raw::c_char;
use std::path::PathBuf;

use crate::context::Log;
use crate::error::{call, Result};
use crate::sys;

/// A field, as C has it and as Rust has it. Pointers that C gives are NULL or point to text.
pub(crate) trait Value<Raw> {
    fn of(raw: &Raw) -> Self;
    fn raw(&self) -> Raw;
}

impl<T: Copy> Value<T> for T {
    fn of(raw: &T) -> T {
        *raw
    }
    fn raw(&self) -> T {
        *self
    }
}

impl Value<*const c_char> for String {
    fn of(raw: &*const c_char) -> String {
        if raw.is_null() {
            return String::new();
        }
        unsafe { CStr::from_ptr(*raw) }.to_string_lossy().into_owned()
    }
    fn raw(&self) -> *const c_char {
        std::ptr::null() // results do not go back
    }
}

/// What is not set by default, and set in C's struct where its memory lives: in the call that takes the configuration.
macro_rules! optional {
    ($($type:ty: $raw:ty = $null:expr,)*) => {
        $(impl Value<$raw> for Option<$type> {
            fn of(_: &$raw) -> Option<$type> {
                None
            }
            fn raw(&self) -> $raw {
                $null
            }
        })*
    };
}
optional! {
    PathBuf: *const c_char = std::ptr::null(),
    String: *const c_char = std::ptr::null(),
    Log: sys::udi_log_fn = None,
}

/// A struct of C and what it is in Rust.
pub(crate) trait Struct {
    type Raw;
    /// Zeros but for struct_size.
    fn empty() -> Self::Raw;
    fn of(raw: &Self::Raw) -> Self;
}

/// What a call writes into a struct.
pub(crate) fn filled<S: Struct>(
    function: impl FnOnce(*mut S::Raw, *mut sys::udi_error) -> sys::udi_status,
) -> Result<S> {
    let mut raw = S::empty();
    call(|error| function(&mut raw, error))?;
    Ok(S::of(&raw))
}

macro_rules! enumeration {
    ($(#[$about:meta])* $name:ident: $raw:ident { $($(#[$doc:meta])* $variant:ident = $value:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $variant = sys::$value as isize,)* }

        impl $name {
            /// None: a value of a newer library.
            pub(crate) fn known(raw: sys::$raw) -> Option<$name> {
                match raw {
                    $(sys::$value => Some($name::$variant),)*
                    _ => None,
                }
            }

            /// The header's name for it.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => stringify!($value),)* }
            }
        }

        impl crate::value::Value<i32> for $name {
            fn of(raw: &i32) -> $name {
                $name::known(*raw).unwrap_or_else(|| panic!("libudi has a {} {raw} that this crate does not know",
                                                            stringify!($raw)))
            }
            fn raw(&self) -> i32 {
                *self as i32
            }
        }
    };
}

macro_rules! structure {
    ($name:ident, $raw:ident, $($field:ident)*) => {
        impl crate::value::Struct for $name {
            type Raw = sys::$raw;
            fn empty() -> sys::$raw {
                // Numbers and pointers: zeros are a value of each.
                let mut raw: sys::$raw = unsafe { std::mem::zeroed() };
                raw.struct_size = std::mem::size_of::<sys::$raw>() as u32;
                raw
            }
            fn of(raw: &sys::$raw) -> $name {
                $name { $($field: crate::value::Value::of(&raw.$field),)* }
            }
        }
    };
}

macro_rules! configuration {
    ($(#[$about:meta])* $name:ident: $raw:ident $(by $init:ident)? {
        $($(#[$doc:meta])* $field:ident: $type:ty,)*
    }) => {
        $(#[$about])*
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        crate::value::structure! { $name, $raw, $($field)* }

        impl $name {
            pub(crate) fn raw(&self) -> sys::$raw {
                let mut raw = <$name as crate::value::Struct>::empty();
                $(raw.$field = crate::value::Value::raw(&self.$field);)*
                raw
            }
        }

        $(
            /// libudi's own defaults. Panics where the library does not fit ([`library`](crate::library) tells).
            impl Default for $name {
                fn default() -> $name {
                    crate::fit::check().unwrap_or_else(|why| panic!("{why}"));
                    let mut raw = <$name as crate::value::Struct>::empty();
                    unsafe { sys::$init(&mut raw, std::mem::size_of::<sys::$raw>()) };
                    <$name as crate::value::Struct>::of(&raw)
                }
            }
        )?
    };
}

macro_rules! result {
    ($(#[$about:meta])* $name:ident: $raw:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        crate::value::structure! { $name, $raw, $($field)* }
    };
}

pub(crate) use {configuration, enumeration, result, structure};
