//! Models: weights in, tokens out.
use std::path::Path;
use std::sync::Arc;

use crate::array::{images_of, Array, Image};
use crate::context::{handle, Context, Lane};
use crate::error::{c_path, c_text, call, made, text, Result};
use crate::fit;
use crate::sys;
use crate::tensor::Tensor;
use crate::types::{AttentionConfig, ExtractConfig, Layout, ModelConfig, ModelInfo, Role};
use crate::value::filled;

impl ModelConfig {
    /// The sizes of "vit_tiny", "vit_small", "vit_base" or "vit_large", and the official head.
    /// [`Status::NotFound`](crate::Status): another name.
    pub fn new(arch: &str) -> Result<ModelConfig> {
        fit::check()?;
        let arch = c_text(arch)?;
        let size = std::mem::size_of::<sys::udi_model_config>();
        filled(|out, error| unsafe { sys::udi_model_config_init(out, size, arch.as_ptr(), error) })
    }
}

handle! {
    /// A backbone with SRS module and projection head.
    Model {}: udi_model freed by udi_model_free
}

impl Model {
    pub(crate) fn made_in(
        lane: &Arc<Lane>,
        function: impl FnOnce(*mut *mut sys::udi_model, *mut sys::udi_error) -> sys::udi_status,
    ) -> Result<Model> {
        Ok(Model { raw: made(function)?, lane: lane.clone() })
    }

    pub(crate) fn lane(&self) -> &Arc<Lane> {
        &self.lane
    }

    /// The official initialisation, drawn from seed. [`Status::Invalid`](crate::Status): the field of config that is out
    /// of range.
    pub fn new(context: &Context, config: &ModelConfig, seed: u64) -> Result<Model> {
        let (config, raw) = (config.raw(), context.as_ptr());
        Model::made_in(&context.lane, |out, error| unsafe { sys::udi_model_create(raw, &config, seed, out, error) })
    }

    /// Reads a checkpoint or weights: safetensors of libudi or with official names; the official .pth, DINO's, iBOT's,
    /// DeiT's and timm's through a reader that runs nothing. role: which of the two, where the file holds both.
    /// [`Status::Format`](crate::Status): damaged, or tensors are missing, extra or misshapen (the log lists them all), or
    /// over the context's limits; [`Status::Unsupported`](crate::Status): a network or archive that libudi has not.
    pub fn load(context: &Context, path: impl AsRef<Path>, role: Role) -> Result<Model> {
        let (path, raw) = (c_path(path.as_ref())?, context.as_ptr());
        Model::made_in(&context.lane, |out, error| unsafe {
            sys::udi_model_load(raw, path.as_ptr(), role as i32, out, error)
        })
    }

    /// The same weights as a model of another context on the same device, without a copy: a context for each thread, and
    /// one set of weights. While they are shared, [`set_param`](Model::set_param) gives
    /// [`Status::State`](crate::Status). [`Status::Invalid`](crate::Status): another device.
    pub fn share(&self, context: &Context) -> Result<Model> {
        let (model, raw) = (self.as_ptr(), context.as_ptr());
        Model::made_in(&context.lane, |out, error| unsafe { sys::udi_model_share(model, raw, out, error) })
    }

    /// Writes weights, configuration and preprocessing as one safetensors file.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = c_path(path.as_ref())?;
        call(|error| unsafe { sys::udi_model_save(self.as_ptr(), path.as_ptr(), error) })
    }

    /// What it was made with.
    pub fn config(&self) -> Result<ModelConfig> {
        filled(|out, error| unsafe { sys::udi_model_get_config(self.as_ptr(), out, error) })
    }

    /// Its sizes, and the number of all its weights.
    pub fn info(&self) -> Result<ModelInfo> {
        filled(|out, error| unsafe { sys::udi_model_get_info(self.as_ptr(), out, error) })
    }

    /// The official names of its weight tensors.
    pub fn param_names(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        let count = unsafe { sys::udi_model_param_count(self.as_ptr()) };
        (0..count as usize).map(|i| unsafe { text(sys::udi_model_param_name(self.as_ptr(), i as i64)) })
    }

    /// A copy of a weight tensor: f32, in the official shape. [`Status::NotFound`](crate::Status): no weight is called
    /// name.
    pub fn param(&self, name: &str) -> Result<Tensor> {
        let name = c_text(name)?;
        let raw = made(|out, error| unsafe { sys::udi_model_param_get(self.as_ptr(), name.as_ptr(), out, error) })?;
        Tensor::new(raw, &self.lane)
    }

    /// Overwrites a weight tensor. value: f32 of the same shape (else [`Status::Shape`](crate::Status)), any values.
    /// [`Status::NotFound`](crate::Status): no weight is called name; [`Status::State`](crate::Status): a model that
    /// shares its weights.
    pub fn set_param(&mut self, name: &str, value: &Array) -> Result<()> {
        let (name, value) = (c_text(name)?, value.to_raw());
        call(|error| unsafe { sys::udi_model_param_set(self.as_ptr(), name.as_ptr(), &value, error) })
    }

    /// The evaluation transform that belongs to the weights: bicubic resize of the shorter side to resize_size, centre
    /// crop of image_size. Gives \[images, channels, image_size, image_size] as [`extract`](Model::extract) takes it, u8
    /// if all images are of 8 bits, else f32. [`Status::Format`](crate::Status): an image cannot be decoded (its index is
    /// in the message); [`Status::Shape`](crate::Status): pixels of other channels than the model's.
    pub fn prepare(&self, images: &[Image]) -> Result<Tensor> {
        let (images, count) = images_of(images);
        let raw = made(|out, error| unsafe { sys::udi_model_prepare(self.as_ptr(), images, count, out, error) })?;
        Tensor::new(raw, &self.lane)
    }

    /// Tokens after the final norm, f32, of the shape that [`Token`](crate::Token) says, last dimension times num_blocks.
    /// images: \[B, C, H, W] or \[B, H, W, C]; u8, or f32 that is normalised already; H and W multiples of patch_size.
    /// [`Status::Shape`](crate::Status): the images are not so; [`Status::Invalid`](crate::Status): a token or a block
    /// that the model has not.
    pub fn extract(&self, images: &Array, layout: Layout, config: &ExtractConfig) -> Result<Tensor> {
        let (images, config, layout) = (images.to_raw(), config.raw(), layout as i32);
        let model = self.as_ptr();
        let raw = made(|out, error| unsafe { sys::udi_model_extract(model, &images, layout, &config, out, error) })?;
        Tensor::new(raw, &self.lane)
    }

    /// Softmaxed attention over the patches, f32 \[B, heads (of SRS: srs_heads), H / patch_size, W / patch_size]. Class
    /// tokens as keys are left out, so the map of a class token sums to less than 1. images and errors as for
    /// [`extract`](Model::extract).
    pub fn attention(&self, images: &Array, layout: Layout, config: &AttentionConfig) -> Result<Tensor> {
        let (images, config, layout) = (images.to_raw(), config.raw(), layout as i32);
        let model = self.as_ptr();
        let raw = made(|out, error| unsafe { sys::udi_model_attention(model, &images, layout, &config, out, error) })?;
        Tensor::new(raw, &self.lane)
    }
}
