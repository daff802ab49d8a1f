//! The caller's memory, borrowed: arrays and images.
use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::{size_of, size_of_val};
use std::ops::Mul;
use std::ptr::null;

use crate::error::{Error, Result};
use crate::sys;
use crate::types::{DeviceType, Dtype, Status};

mod sealed {
    pub trait Sealed {}
}

/// A type of numbers that arrays are made of.
pub trait Element: Copy + Send + Sync + sealed::Sealed + 'static {
    /// What libudi calls it.
    const DTYPE: Dtype;
}

/// A type of numbers that an image's pixels are made of; of f32: 0..1.
pub trait Pixel: Element {}

macro_rules! elements {
    ($($type:ty: $dtype:ident)*) => {
        $(impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: Dtype = Dtype::$dtype;
        })*
    };
}
elements! { u8: U8 u16: U16 i32: I32 i64: I64 f32: F32 f64: F64 }
impl Pixel for u8 {}
impl Pixel for u16 {}
impl Pixel for f32 {}

// ---- Arrays -----------------------------------------------------------------------------------------------------------

/// A borrowed, strided array, which calls read. On the CPU, but for what [`Array::from_raw`] makes.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    data: *const c_void,
    dtype: Dtype,
    device: (DeviceType, i32),
    shape: Vec<i64>,
    strides: Vec<i64>,
    memory: PhantomData<&'a [u8]>,
}

// Shared memory that nobody writes to.
unsafe impl Send for Array<'_> {}
unsafe impl Sync for Array<'_> {}

impl<'a> Array<'a> {
    /// Over row-major data of this shape: 0 to 8 sizes, each at least 1. [`Status::Shape`]: data has another length.
    pub fn new<T: Element>(data: &'a [T], shape: &[usize]) -> Result<Array<'a>> {
        let needed = shape.iter().try_fold(1, |product: usize, &size| product.checked_mul(size));
        if needed != Some(data.len()) || data.is_empty() {
            let have = data.len();
            return Err(misfit(format!("data has {have} elements, shape {shape:?} must need as many, and at least 1")));
        }
        Array::strided(data, shape, &row_major(shape))
    }

    /// Over data of this shape and these strides, in elements; 0 repeats. [`Status::Shape`]: data is too short.
    pub fn strided<T: Element>(data: &'a [T], shape: &[usize], strides: &[usize]) -> Result<Array<'a>> {
        let reach =
            |sum: usize, (&size, &stride): (&usize, &usize)| sum.checked_add(size.checked_sub(1)?.checked_mul(stride)?);
        let last = shape.iter().zip(strides).try_fold(0, reach);
        if shape.len() != strides.len() || last.map_or(true, |last| last >= data.len()) {
            let have = data.len();
            return Err(misfit(format!("data of {have} elements is not of shape {shape:?} and strides {strides:?}")));
        }
        let signed = |all: &[usize]| all.iter().map(|&one| i64::try_from(one).unwrap_or(i64::MAX)).collect::<Vec<_>>();
        let (shape, strides) = (signed(shape), signed(strides));
        let data = data.as_ptr() as *const c_void;
        Ok(Array { data, dtype: T::DTYPE, device: (DeviceType::Cpu, 0), shape, strides, memory: PhantomData })
    }

    /// As C has it, also on a GPU. [`Status::Invalid`]: a dtype or device that this crate does not know.
    ///
    /// # Safety
    /// shape has ndim sizes, strides as many numbers or is NULL; the data is all there, and nobody writes to it, for 'a.
    pub unsafe fn from_raw(raw: &sys::udi_array) -> Result<Array<'a>> {
        let (dtype, device) = match (Dtype::known(raw.dtype), DeviceType::known(raw.device_type)) {
            (Some(dtype), Some(device)) => (dtype, (device, raw.device_index)),
            _ => {
                let message = format!("this crate knows no dtype {} on device {}", raw.dtype, raw.device_type);
                return Err(Error::new(Status::Invalid, message));
            }
        };
        let numbers = |from: *const i64| (0..raw.ndim as usize).map(|i| *from.add(i)).collect::<Vec<_>>();
        let shape = numbers(raw.shape);
        let strides = if raw.strides.is_null() { row_major(&shape) } else { numbers(raw.strides) };
        Ok(Array { data: raw.data, dtype, device, shape, strides, memory: PhantomData })
    }

    /// What its numbers are.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its sizes.
    pub fn shape(&self) -> Vec<usize> {
        self.shape.iter().map(|&size| size as usize).collect()
    }

    /// Its numbers, if they are of this type, row-major and on the CPU: [`Status::Shape`] where not.
    pub fn as_slice<T: Element>(&self) -> Result<&'a [T]> {
        let row_major = row_major(&self.shape);
        let in_order = |i: usize| self.shape[i] == 1 || self.strides[i] == row_major[i];
        let dense = (0..self.shape.len()).all(in_order) && self.device.0 == DeviceType::Cpu;
        if self.dtype != T::DTYPE || !dense {
            return Err(misfit(format!("{self:?} is not row-major {} on the CPU", T::DTYPE.name())));
        }
        let count = self.shape.iter().product::<i64>() as usize;
        Ok(unsafe { std::slice::from_raw_parts(self.data as *const T, count) })
    }

    /// As C has it; valid as long as this.
    pub fn to_raw(&self) -> sys::udi_array {
        sys::udi_array {
            struct_size: size_of::<sys::udi_array>() as u32,
            dtype: self.dtype as i32,
            device_type: self.device.0 as i32,
            device_index: self.device.1,
            ndim: self.shape.len() as i32,
            flags: 0,
            shape: self.shape.as_ptr(),
            strides: self.strides.as_ptr(),
            data: self.data as *mut c_void,
        }
    }
}

/// As C has an array that may be left out.
pub(crate) fn or_null(array: &Option<sys::udi_array>) -> *const sys::udi_array {
    array.as_ref().map_or(null(), |array| array)
}

/// The strides of contiguous memory, in elements.
fn row_major<T: Copy + From<u8> + Mul<Output = T>>(shape: &[T]) -> Vec<T> {
    let mut strides = vec![T::from(1); shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

fn misfit(message: String) -> Error {
    Error::new(Status::Shape, message)
}

// ---- Images -----------------------------------------------------------------------------------------------------------

/// One borrowed image of any size: an encoded file's bytes, or pixels.
#[repr(transparent)]
pub struct Image<'a> {
    raw: sys::udi_image,
    memory: PhantomData<&'a [u8]>,
}

// Shared memory that nobody writes to.
unsafe impl Send for Image<'_> {}
unsafe impl Sync for Image<'_> {}

impl<'a> Image<'a> {
    /// The bytes of a JPEG, PNG or .npy file. Where it cannot be decoded, the call that uses the image gives
    /// [`Status::Format`].
    pub fn encoded(data: &'a [u8]) -> Image<'a> {
        Image::of(0, data, 0, 0, 0)
    }

    /// Contiguous pixels \[height, width, channels]: 1 to 2^20, 1 to 2^20, 1 to 16. Where data has another length, the
    /// call that uses the image gives [`Status::Shape`].
    pub fn pixels<T: Pixel>(data: &'a [T], height: usize, width: usize, channels: usize) -> Image<'a> {
        Image::of(T::DTYPE as i32, data, height, width, channels)
    }

    fn of<T>(dtype: i32, data: &'a [T], height: usize, width: usize, channels: usize) -> Image<'a> {
        let size = |size| i32::try_from(size).unwrap_or(i32::MAX); // which no image may have
        let raw = sys::udi_image {
            struct_size: size_of::<sys::udi_image>() as u32,
            dtype,
            height: size(height),
            width: size(width),
            channels: size(channels),
            reserved: 0,
            data: data.as_ptr() as *const c_void,
            size: size_of_val(data) as u64,
        };
        Image { raw, memory: PhantomData }
    }
}

impl std::fmt::Debug for Image<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let raw = &self.raw;
        write!(f, "Image({} x {} x {}, {} bytes)", raw.height, raw.width, raw.channels, raw.size)
    }
}

/// The address and the number of images. Image is transparent: a slice of them is C's array. NULL for none, as there is
/// nothing to be read at an empty slice's address.
pub(crate) fn images_of(images: &[Image]) -> (*const sys::udi_image, i64) {
    (images.first().map_or(null(), |_| images.as_ptr() as *const sys::udi_image), images.len() as i64)
}
