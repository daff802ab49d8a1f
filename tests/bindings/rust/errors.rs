//! What goes wrong is an Error with libudi's words, or the crate's own where the crate sees it first; and what fits.
mod recipe;

use std::ffi::CStr;

use udi::{Array, Context, ContextConfig, DeviceType, ExtractConfig, Image, Interface, Layout, Model, ModelConfig};
use udi::{Role, Status, Tensor};

fn fails<T>(result: udi::Result<T>, status: Status, part: &str) -> udi::Error {
    let error = result.err().unwrap_or_else(|| panic!("did not fail: {part}"));
    assert!(error.status == status && error.message.contains(part), "{error:?} is not {status:?}, {part}");
    error
}

#[test]
fn libudi_says_what() {
    let context = recipe::context();
    let error = fails(ModelConfig::new("vit_huge"), Status::NotFound, "no architecture is called 'vit_huge'");
    assert!(error.to_string().starts_with("UDI_E_NOT_FOUND: no architecture is called 'vit_huge'"), "{error}");
    let sizes = ModelConfig { patch_size: 7, ..recipe::sizes() };
    fails(Model::new(&context, &sizes, 1), Status::Invalid, "patch_size");

    let model = recipe::model(&context);
    fails(Model::load(&context, "none.safetensors", Role::Teacher), Status::NotFound, "none.safetensors: no such file");
    fails(Model::load(&context, file!(), Role::Teacher), Status::Format, "errors.rs");
    let error = fails(model.save("none/model.safetensors"), Status::Io, "none");
    assert_eq!(std::io::Error::from_raw_os_error(error.native_code).kind(), std::io::ErrorKind::NotFound);
    fails(model.param("nothing"), Status::NotFound, "no tensor 'nothing'");
    fails(model.prepare(&[]), Status::Invalid, "images");
    let good = vec![0u8; 40 * 40 * 3];
    let images = [Image::pixels(&good, 40, 40, 3), Image::encoded(b"no JPEG at all")];
    fails(model.prepare(&images), Status::Format, "images[1]");
    fails(model.prepare(&[Image::pixels(&good, 40, 41, 3)]), Status::Shape, "size");
    fails(model.prepare(&[Image::pixels(&good, usize::MAX, 1, 3)]), Status::Invalid, "height");
    let batch = Array::new(&good, &[1, 3, 40, 40]).unwrap();
    fails(model.extract(&batch, Layout::Nhwc, &ExtractConfig::default()), Status::Shape, "images");
    let device = ContextConfig { device_type: DeviceType::Cuda, device_index: 1000, ..Default::default() };
    fails(Context::with(device), Status::Device, "");
    fails(unsafe { context.set_stream(std::ptr::null_mut()) }, Status::Unsupported, "CPU");
    let _: Box<dyn std::error::Error + Send + Sync> = error.into();
}

#[test]
fn the_crate_sees_it_first() {
    let context = recipe::context();
    let model = recipe::model(&context);
    fails(model.param("a\0b"), Status::Invalid, "holds a zero byte");
    fails(model.save("a\0b"), Status::Invalid, "holds a zero byte");
    let data = [0f32; 12];
    fails(Array::new(&data, &[3, 5]), Status::Shape, "12 elements");
    fails(Array::new(&data, &[usize::MAX, 2]), Status::Shape, "12 elements");
    fails(Array::new(&data[..0], &[0, 3]), Status::Shape, "0 elements");
    fails(Array::strided(&data, &[3, 4], &[4, 2]), Status::Shape, "12 elements");
    fails(Array::strided(&data, &[3, 4], &[4]), Status::Shape, "strides [4]");
    fails(Array::strided(&data, &[0, 4], &[4, 1]), Status::Shape, "shape [0, 4]");
    fails(Array::strided(&data, &[usize::MAX, usize::MAX], &[2, 2]), Status::Shape, "12 elements");
    fails(Array::new(&data, &[12]).unwrap().as_slice::<i32>(), Status::Shape, "UDI_I32");
    fails(Array::strided(&data, &[2, 6], &[1, 2]).unwrap().as_slice::<f32>(), Status::Shape, "row-major");
    fails(Tensor::from_vec(&context, vec![1, 2, 3], &[2]), Status::Shape, "3 elements");
}

#[test]
fn statuses_have_the_librarys_names() {
    let named = |status| unsafe { CStr::from_ptr(udi::sys::udi_status_name(status)) }.to_str().unwrap();
    for status in [Status::Invalid, Status::NotFound, Status::Nonfinite, Status::Internal] {
        assert_eq!(status.name(), named(status as i32));
    }
}

#[test]
fn what_fits() {
    let side = |fingerprint: &str, version, abi| Interface { abi, version, fingerprint: fingerprint.repeat(64) };
    let ours = side("a", 2000, 0);
    assert!(ours.require(&side("a", 2000, 0)).is_ok());
    assert!(ours.require(&side("b", 2001, 0)).is_ok());
    for other in [side("b", 2000, 0), side("b", 1999, 0), side("b", 2001, 1)] {
        fails(ours.require(&other), Status::Version, "made for 0.2.0 (ABI 0, interface aaaaaaaaaaaa): install");
    }
}

#[test]
fn this_library_fits() {
    let library = udi::library().unwrap();
    assert_eq!(library.interface, Interface::of_crate());
    assert_eq!(library.version, env!("CARGO_PKG_VERSION"));
    assert!(library.build_info.contains(library.version));
    assert!(udi::job_schema().unwrap().contains("\"pretrain\""));
}
