//! Tensors: arrays that libudi owns, or shares with another library.
use std::ffi::c_void;
use std::mem::size_of;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::array::{Array, Element};
use crate::context::{handle, Context, Lane};
use crate::error::{call, made, Result};
use crate::sys;
use crate::types::Dtype;

handle! {
    /// An array with an owner: a result, on the CPU and row-major, or what [`Tensor::from_vec`] and
    /// [`Tensor::from_dlpack`] make. Also [`Sync`]: it is read without a call.
    Tensor { array: Array<'static> }: udi_tensor freed by udi_tensor_free
}

unsafe impl Sync for Tensor {}

impl Tensor {
    pub(crate) fn new(raw: NonNull<sys::udi_tensor>, lane: &Arc<Lane>) -> Result<Tensor> {
        match view(raw) {
            Ok(array) => Ok(Tensor { raw, array, lane: lane.clone() }),
            Err(why) => {
                unsafe { sys::udi_tensor_free(raw.as_ptr()) };
                Err(why)
            }
        }
    }

    /// Over these numbers, row-major, without a copy; they go when nothing uses them any more. [`Status::Shape`](crate::Status): data
    /// has another length.
    pub fn from_vec<T: Element>(context: &Context, data: Vec<T>, shape: &[usize]) -> Result<Tensor> {
        unsafe extern "C" fn release<T>(user: *mut c_void) {
            drop(Box::from_raw(user as *mut Vec<T>))
        }
        let data = Box::into_raw(Box::new(data));
        let wrapped = Array::new(unsafe { &*data }, shape).and_then(|array| {
            let (context, array, user) = (context.as_ptr(), array.to_raw(), data as *mut c_void);
            made(|out, error| unsafe { sys::udi_tensor_wrap(context, &array, Some(release::<T>), user, out, error) })
        });
        match wrapped {
            Ok(raw) => Tensor::new(raw, &context.lane),
            Err(why) => {
                drop(unsafe { Box::from_raw(data) });
                Err(why)
            }
        }
    }

    /// Another library's memory, without a copy: DLPack 1, on the CPU or on the context's GPU. On success its deleter runs
    /// when nothing uses the memory any more, on that thread; after a failure managed is still the caller's.
    /// [`Status::Unsupported`](crate::Status): a dtype without a [`Dtype`](crate::Dtype); [`Status::Device`](crate::Status): another device's memory.
    ///
    /// # Safety
    /// managed is a whole one of DLPack 1, whose deleter may run on any thread, and nobody writes to its memory while the
    /// tensor lives.
    pub unsafe fn from_dlpack(context: &Context, managed: NonNull<sys::DLManagedTensorVersioned>) -> Result<Tensor> {
        let (context, lane) = (context.as_ptr(), context.lane.clone());
        let raw = made(|out, error| sys::udi_tensor_from_dlpack(context, managed.as_ptr(), out, error))?;
        let array = view(raw)?; // raw is left where it is: managed is still the caller's
        Ok(Tensor { raw, array, lane })
    }

    /// The memory for another library, without a copy: DLPack 1. It outlives the tensor; whoever has it last calls its
    /// deleter, once, on any thread.
    pub fn to_dlpack(&self) -> Result<NonNull<sys::DLManagedTensorVersioned>> {
        made(|out, error| unsafe { sys::udi_tensor_to_dlpack(self.as_ptr(), out, error) })
    }

    /// Its memory, for calls that take an array.
    pub fn array(&self) -> &Array<'_> {
        &self.array
    }

    /// What its numbers are.
    pub fn dtype(&self) -> Dtype {
        self.array.dtype()
    }

    /// Its sizes.
    pub fn shape(&self) -> Vec<usize> {
        self.array.shape()
    }

    /// Its numbers, row-major. [`Status::Shape`](crate::Status): they are of another type, or not so.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        self.array.as_slice()
    }
}

/// What a tensor holds, for as long as it lives.
fn view(raw: NonNull<sys::udi_tensor>) -> Result<Array<'static>> {
    let mut view: sys::udi_array = unsafe { std::mem::zeroed() };
    view.struct_size = size_of::<sys::udi_array>() as u32;
    call(|error| unsafe { sys::udi_tensor_view(raw.as_ptr(), &mut view, error) })?;
    unsafe { Array::from_raw(&view) }
}
