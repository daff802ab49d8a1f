//! The processes of a distributed run.
use crate::context::{handle, Context};
use crate::error::{c_text, made, Result};
use crate::sys;
use crate::types::GroupConfig;

handle! {
    /// The processes of a distributed run, this one among them. Dropping it ends its threads, once no trainer uses it.
    Group {}: udi_group freed by udi_group_free
}

impl Group {
    /// Meets the other ranks: every process calls it, and it returns when all have come. With `GroupConfig::default()` the
    /// launcher (torchrun, mpirun or srun) says which rank this is; without one the group is this process alone.
    /// [`Status::Invalid`](crate::Status): also variables or ranks that contradict each other;
    /// [`Status::Io`](crate::Status): the port is taken, or a rank has not come within the timeout.
    pub fn new(context: &Context, config: &GroupConfig) -> Result<Group> {
        let mut raw_config = config.raw();
        let address = config.address.as_deref().map(c_text).transpose()?;
        if let Some(address) = &address {
            raw_config.address = address.as_ptr();
        }
        let raw = made(|out, error| unsafe { sys::udi_group_create(context.as_ptr(), &raw_config, out, error) })?;
        Ok(Group { raw, lane: context.lane.clone() })
    }

    /// 0 to world - 1.
    pub fn rank(&self) -> i32 {
        unsafe { sys::udi_group_rank(self.as_ptr()) }
    }

    /// The number of ranks.
    pub fn world(&self) -> i32 {
        unsafe { sys::udi_group_world(self.as_ptr()) }
    }
}
