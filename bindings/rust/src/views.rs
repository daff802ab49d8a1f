//! Views of images in memory, and the loader that makes them of image sets on disk.
use std::path::Path;
use std::sync::Arc;

use crate::array::{images_of, or_null, Array, Image};
use crate::context::{handle, Context, Lane};
use crate::error::{c_path, call, made, Result};
use crate::sys;
use crate::tensor::Tensor;
use crate::types::{LoaderConfig, ViewConfig};

handle! {
    /// The crops of a batch of images and their sample maps.
    Views {}: udi_views freed by udi_views_free
}

/// The crops of a caller's own augmentation, of B images.
pub struct Crops<'a> {
    /// \[2, B, C, G, G]; u8, or f32 (0..1).
    pub global: Array<'a>,
    /// \[L, B, C, l, l]; None where the configuration has no local crops.
    pub local: Option<Array<'a>>,
    /// f32 \[2 + L, B, 4], (i0, j0, i1, j1) of each crop in its image, 0..1, the two j swapped when it is mirrored.
    pub coords: Array<'a>,
    /// u8 mask \[B, N] over tokens, 0 and 1, the same count in every row.
    pub sample_global: Array<'a>,
    /// The same of the local crops, \[B, n].
    pub sample_local: Option<Array<'a>>,
}

impl Views {
    fn made_in(
        lane: &Arc<Lane>,
        function: impl FnOnce(*mut *mut sys::udi_views, *mut sys::udi_error) -> sys::udi_status,
    ) -> Result<Views> {
        Ok(Views { raw: made(function)?, lane: lane.clone() })
    }

    /// Crops and sample maps of images in memory. The draw of image i depends on (seed, epoch, first_sample + i) alone;
    /// epoch: 0 to 2^24 - 1, first_sample: at least 0. [`Status::Format`](crate::Status): an image cannot be decoded (its
    /// index is in the message); [`Status::Memory`](crate::Status): one is over the context's limits;
    /// [`Status::Shape`](crate::Status): pixels of other channels.
    pub fn new(
        context: &Context,
        config: &ViewConfig,
        images: &[Image],
        seed: u64,
        epoch: i64,
        first_sample: i64,
    ) -> Result<Views> {
        let ((images, count), config, raw) = (images_of(images), config.raw(), context.as_ptr());
        Views::made_in(&context.lane, |out, error| unsafe {
            sys::udi_views_create(raw, &config, images, count, seed, epoch, first_sample, out, error)
        })
    }

    /// Of a caller's own crops. Of config, sizes and local_crops are read. [`Status::Shape`](crate::Status): an array is
    /// not as [`Crops`] says; [`Status::Invalid`](crate::Status): values out of range.
    pub fn from_arrays(context: &Context, config: &ViewConfig, crops: &Crops) -> Result<Views> {
        let (config, raw) = (config.raw(), context.as_ptr());
        let (global, coords, sample_global) =
            (crops.global.to_raw(), crops.coords.to_raw(), crops.sample_global.to_raw());
        let local = crops.local.as_ref().map(Array::to_raw);
        let sample_local = crops.sample_local.as_ref().map(Array::to_raw);
        let (local, sample_local) = (or_null(&local), or_null(&sample_local));
        Views::made_in(&context.lane, |out, error| unsafe {
            sys::udi_views_from_arrays(raw, &config, &global, local, &coords, &sample_global, sample_local, out, error)
        })
    }

    /// The number of images.
    pub fn count(&self) -> usize {
        unsafe { sys::udi_views_count(self.as_ptr()) as usize }
    }

    /// A copy of the global crops, \[2, B, C, G, G]: u8, or f32 (0..1) where an image was not of 8 bits.
    pub fn global_crops(&self) -> Result<Tensor> {
        self.crops(1)
    }

    /// A copy of the local crops, \[L, B, C, l, l].
    pub fn local_crops(&self) -> Result<Tensor> {
        self.crops(0)
    }

    fn crops(&self, global: i32) -> Result<Tensor> {
        let raw = made(|out, error| unsafe { sys::udi_views_crops(self.as_ptr(), global, out, error) })?;
        Tensor::new(raw, &self.lane)
    }

    /// A copy of the crops' coordinates, as [`Crops::coords`] has them.
    pub fn coords(&self) -> Result<Tensor> {
        let raw = made(|out, error| unsafe { sys::udi_views_coords(self.as_ptr(), out, error) })?;
        Tensor::new(raw, &self.lane)
    }
}

handle! {
    /// An image set on disk, turned into [`Views`] by worker threads. As an iterator it never ends: epochs follow each
    /// other; `loader.by_ref().take(n)` gives n batches. Dropping it waits for its threads.
    Loader {}: udi_loader freed by udi_loader_free
}

impl Loader {
    /// path: a folder (nested or flat), a list file (one path a line), a .tar or .tar.gz, or a folder of those. Images are
    /// JPEG, PNG and .npy. Batches are of full size; what is left of an epoch is dropped.
    /// [`Status::NotFound`](crate::Status): no image there; [`Status::Format`](crate::Status): a damaged archive or list;
    /// [`Status::Invalid`](crate::Status): fewer images than a batch of all ranks.
    pub fn open(
        context: &Context,
        path: impl AsRef<Path>,
        views: &ViewConfig,
        config: &LoaderConfig,
    ) -> Result<Loader> {
        let (path, views, mut raw_config) = (c_path(path.as_ref())?, views.raw(), config.raw());
        let cache_dir = config.cache_dir.as_deref().map(c_path).transpose()?;
        if let Some(folder) = &cache_dir {
            raw_config.cache_dir = folder.as_ptr();
        }
        let raw = made(|out, error| unsafe {
            sys::udi_loader_open(context.as_ptr(), path.as_ptr(), &views, &raw_config, out, error)
        })?;
        Ok(Loader { raw, lane: context.lane.clone() })
    }

    /// How many were found.
    pub fn images(&self) -> i64 {
        unsafe { sys::udi_loader_images(self.as_ptr()) }
    }

    /// Batches an epoch.
    pub fn steps_per_epoch(&self) -> i64 {
        unsafe { sys::udi_loader_steps_per_epoch(self.as_ptr()) }
    }

    /// Batches given out since the start of training.
    pub fn position(&self) -> i64 {
        unsafe { sys::udi_loader_position(self.as_ptr()) }
    }

    /// Goes on as if so many batches had been given out: at least 0, below 2^24 epochs.
    pub fn seek(&mut self, position: i64) -> Result<()> {
        call(|error| unsafe { sys::udi_loader_seek(self.as_ptr(), position, error) })
    }
}

impl Iterator for Loader {
    type Item = Result<Views>;

    /// The next batch, never None. An unreadable image is named in the log, and another of the set takes its place.
    /// [`Status::Format`](crate::Status): more than max_bad_percent of the set are. After a failure the position is as it
    /// was.
    fn next(&mut self) -> Option<Result<Views>> {
        let loader = self.as_ptr();
        Some(Views::made_in(&self.lane, |out, error| unsafe { sys::udi_loader_next(loader, out, error) }))
    }
}
