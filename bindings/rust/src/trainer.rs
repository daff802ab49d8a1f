//! Training.
use std::path::Path;
use std::ptr::null_mut;

use crate::context::{handle, Context};
use crate::error::{c_path, call, made, Result};
use crate::group::Group;
use crate::model::Model;
use crate::sys;
use crate::types::{Role, StepStats, TrainConfig};
use crate::value::filled;
use crate::views::{Loader, Views};

handle! {
    /// Student, teacher, centers, optimizer, schedules.
    Trainer {}: udi_trainer freed by udi_trainer_free
}

impl Trainer {
    /// In the model's context. Student and teacher start as copies of model, which stays as it is.
    /// [`Status::Invalid`](crate::Status): the field of config that is out of range.
    pub fn new(model: &Model, config: &TrainConfig) -> Result<Trainer> {
        let (config, context) = (config.raw(), model.lane().raw.as_ptr());
        let raw = made(|out, error| unsafe { sys::udi_trainer_create(context, model.as_ptr(), &config, out, error) })?;
        Ok(Trainer { raw, lane: model.lane().clone() })
    }

    /// The trainer as it was saved, to the bit on the same device; loader is set to its saved position.
    /// [`Status::Format`](crate::Status): damaged; the message names the tensor. [`Status::Version`](crate::Status): of a
    /// newer libudi. [`Status::NotFound`](crate::Status): no such file, or one without the position that a loader wants.
    /// Where path is gone or damaged and path + ".prev" is there, the message says so: load that one.
    pub fn load(context: &Context, path: impl AsRef<Path>, loader: Option<&mut Loader>) -> Result<Trainer> {
        let path = c_path(path.as_ref())?;
        let loader = loader.map_or(null_mut(), |loader| loader.as_ptr());
        let raw =
            made(|out, error| unsafe { sys::udi_trainer_load(context.as_ptr(), path.as_ptr(), loader, out, error) })?;
        Ok(Trainer { raw, lane: context.lane.clone() })
    }

    /// Steps from now on are over the group's ranks. Every rank calls it, each with a trainer of the same configuration; all
    /// become what rank 0's is. [`Status::Invalid`](crate::Status): the ranks' configurations differ.
    pub fn join(&mut self, group: &Group) -> Result<()> {
        call(|error| unsafe { sys::udi_trainer_join(self.as_ptr(), group.as_ptr(), error) })
    }

    /// One optimisation step over all images of the views: teacher, targets, student, loss, gradients, per-tensor
    /// clipping, update, teacher average, centers. Several views, 1 to 2^20, equal one batch of all their images; they
    /// are of the trainer's context and agree in local_crops. [`Status::Shape`](crate::Status): views that do not fit the
    /// model or each other; [`Status::Nonfinite`](crate::Status): the loss or a gradient is not finite. After a failure
    /// nothing has moved.
    pub fn step(&mut self, views: &[&Views]) -> Result<StepStats> {
        let pointers: Vec<_> = views.iter().map(|views| views.as_ptr() as *const sys::udi_views).collect();
        let count = pointers.len() as i64;
        filled(|stats, error| unsafe { sys::udi_trainer_step(self.as_ptr(), pointers.as_ptr(), count, stats, error) })
    }

    /// Steps done.
    pub fn steps(&self) -> i64 {
        unsafe { sys::udi_trainer_steps(self.as_ptr()) }
    }

    /// A copy of the student's or the teacher's weights as they are now.
    pub fn model(&self, role: Role) -> Result<Model> {
        let trainer = self.as_ptr();
        Model::made_in(&self.lane, |out, error| unsafe { sys::udi_trainer_model(trainer, role as i32, out, error) })
    }

    /// Everything that is needed to go on, in one safetensors file; loader: its position goes along. A file that was there
    /// becomes path + ".prev", and the one of that name goes.
    pub fn save(&self, path: impl AsRef<Path>, loader: Option<&Loader>) -> Result<()> {
        let path = c_path(path.as_ref())?;
        let loader = loader.map_or(null_mut(), |loader| loader.as_ptr());
        call(|error| unsafe { sys::udi_trainer_save(self.as_ptr(), loader, path.as_ptr(), error) })
    }
}
