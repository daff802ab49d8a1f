//! Contexts, their log, cancelling, and jobs.
use std::any::Any;
use std::cell::Cell;
use std::ffi::{c_void, CStr};
use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::os::raw::c_char;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr::{null_mut, NonNull};
use std::sync::{Arc, Mutex};

use crate::error::{c_text, call, made, text, Result};
use crate::fit;
use crate::sys;
use crate::types::{ContextConfig, LogLevel, Progress};
use crate::value::Struct;

/// Where log lines go: whole lines without a newline, one at a time, perhaps from a thread of libudi's. May call nothing
/// of its context but [`CancelHandle::cancel`]. If it panics it is called no more.
pub type Log = Box<dyn FnMut(LogLevel, &str) + Send>;

/// What a running job tells now and then; what it breaks ends the job. Runs on the thread that called; may call nothing of
/// its context but [`CancelHandle::cancel`].
pub type OnProgress<'a> = dyn FnMut(&Progress) -> ControlFlow<()> + 'a;

/// A udi_context, which goes with the last handle that was made from it; its log outlives it.
pub(crate) struct Lane {
    pub(crate) raw: NonNull<sys::udi_context>,
    _log: Option<Arc<Mutex<Log>>>,
}

// Through a shared Lane alone, a context is only cancelled; that may be done on any thread at any time, and so may _free.
unsafe impl Send for Lane {}
unsafe impl Sync for Lane {}

impl Drop for Lane {
    fn drop(&mut self) {
        unsafe { sys::udi_context_free(self.raw.as_ptr()) }
    }
}

/// A device, a log, limits: where everything else lives.
///
/// A context and all that is made from it are one lane: on any thread, one call at a time. So they are [`Send`] and not
/// [`Sync`]; where two of them are on two threads, a call that meets another's gives [`Status::State`](crate::Status).
/// Contexts work in parallel, also on one set of weights ([`Model::share`](crate::Model::share)).
pub struct Context {
    pub(crate) lane: Arc<Lane>,
    one_thread_at_a_time: PhantomData<Cell<()>>,
}

impl Context {
    /// On the CPU, silent. Opens LibTorch if no context did before. [`Status::NotFound`](crate::Status): there is none;
    /// [`Status::Version`](crate::Status): another one is loaded, or the library does not fit this crate.
    pub fn new() -> Result<Context> {
        fit::check()?;
        Context::with(ContextConfig::default())
    }

    /// As config says. Also [`Status::Device`](crate::Status): no such device.
    pub fn with(config: ContextConfig) -> Result<Context> {
        let mut raw_config = config.raw();
        let log = config.log.map(|log| Arc::new(Mutex::new(log)));
        if let Some(log) = &log {
            raw_config.log = Some(on_log);
            raw_config.log_user = Arc::as_ptr(log) as *mut c_void;
        }
        let raw = made(|out, error| unsafe { sys::udi_context_create(&raw_config, out, error) })?;
        Ok(Context { lane: Arc::new(Lane { raw, _log: log }), one_thread_at_a_time: PhantomData })
    }

    /// What cancels this context's calls from other threads.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle(self.lane.clone())
    }

    /// Takes a cancel back, so that the context can be used again.
    pub fn clear_cancel(&self) {
        unsafe { sys::udi_context_clear_cancel(self.lane.raw.as_ptr()) }
    }

    /// Runs a whole task, "pretrain", "extract", "knn", ..., and gives its result, a JSON object.
    ///
    /// config_json: an object of options, which [`job_schema`] lists; unknown or misfit ones are
    /// [`Status::Invalid`](crate::Status) with their name. What progress breaks is [`Status::Callback`](crate::Status);
    /// a panic of it goes on from here once the job has stopped. Else what the files and calls behind the job give.
    pub fn job_run(&self, name: &str, config_json: &str, progress: Option<&mut OnProgress>) -> Result<String> {
        let (name, config_json) = (c_text(name)?, c_text(config_json)?);
        let (name, config_json, context) = (name.as_ptr(), config_json.as_ptr(), self.as_ptr());
        let mut watch = progress.map(|progress| Watch { progress, panic: None });
        let (function, user): (sys::udi_progress_fn, _) = match &mut watch {
            Some(watch) => (Some(on_progress), watch as *mut Watch as *mut c_void),
            None => (None, null_mut()),
        };
        let result =
            made(|out, error| unsafe { sys::udi_job_run(context, name, config_json, function, user, out, error) });
        if let Some(panic) = watch.and_then(|watch| watch.panic) {
            resume_unwind(panic);
        }
        result.map(taken)
    }

    /// From now on the work on this context's GPU goes to this cudaStream_t, and arrays are read in its order; NULL: the
    /// default stream. [`Status::Unsupported`](crate::Status): the context is on the CPU.
    ///
    /// # Safety
    /// The stream outlives the context and all that was made from it.
    pub unsafe fn set_stream(&self, stream: *mut c_void) -> Result<()> {
        call(|error| sys::udi_context_set_stream(self.as_ptr(), stream, error))
    }

    /// For [`sys`]; valid as long as the context.
    pub fn as_ptr(&self) -> *mut sys::udi_context {
        self.lane.raw.as_ptr()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Context({:p})", self.lane.raw)
    }
}

/// Cancels a context's calls; from any thread, and in signal handlers. It keeps the context alive.
#[derive(Clone)]
pub struct CancelHandle(Arc<Lane>);

impl CancelHandle {
    /// Makes the running call of the context, and every later one, end with [`Status::Cancelled`](crate::Status) within
    /// one micro-batch, until [`clear`](CancelHandle::clear).
    pub fn cancel(&self) {
        unsafe { sys::udi_context_cancel(self.0.raw.as_ptr()) }
    }

    /// Takes the cancel back, as [`Context::clear_cancel`] does.
    pub fn clear(&self) {
        unsafe { sys::udi_context_clear_cancel(self.0.raw.as_ptr()) }
    }
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "CancelHandle({:p})", self.0.raw)
    }
}

/// Every job and its options (name, type, default, range, help), as JSON.
pub fn job_schema() -> Result<&'static str> {
    fit::check()?;
    Ok(unsafe { text(sys::udi_job_schema()) })
}

/// The text that a call gave, which is freed.
fn taken(chars: NonNull<c_char>) -> String {
    let text = unsafe { CStr::from_ptr(chars.as_ptr()) }.to_string_lossy().into_owned();
    unsafe { sys::udi_string_free(chars.as_ptr()) };
    text
}

// ---- Callbacks: no panic leaves one -----------------------------------------------------------------------------------

unsafe extern "C" fn on_log(user: *mut c_void, level: sys::udi_log_level, message: *const c_char) {
    let log = &*(user as *const Mutex<Log>);
    let level = LogLevel::known(level).unwrap_or(LogLevel::Debug);
    let line = CStr::from_ptr(message).to_string_lossy();
    let run = || {
        if let Ok(mut log) = log.lock() {
            log(level, &line) // a panic poisons the lock
        }
    };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        std::mem::forget(panic); // what it carries may panic in its turn when it is dropped
    }
}

/// What a running job tells, and what the caller's function did.
struct Watch<'a, 'b> {
    progress: &'a mut OnProgress<'b>,
    panic: Option<Box<dyn Any + Send>>,
}

unsafe extern "C" fn on_progress(user: *mut c_void, progress: *const sys::udi_progress) -> i32 {
    let watch = &mut *(user as *mut Watch);
    let now = Progress::of(&*progress);
    match catch_unwind(AssertUnwindSafe(|| (watch.progress)(&now))) {
        Ok(ControlFlow::Continue(())) => 0,
        Ok(ControlFlow::Break(())) => 1,
        Err(panic) => {
            watch.panic = Some(panic);
            1
        }
    }
}

// ---- Handles ----------------------------------------------------------------------------------------------------------

/// A type over a pointer that its _free gives back. What it was made from lives as long; it may go in any order.
macro_rules! handle {
    ($(#[$about:meta])* $name:ident { $($field:ident: $type:ty),* }: $raw:ident freed by $free:ident) => {
        $(#[$about])*
        pub struct $name {
            raw: std::ptr::NonNull<sys::$raw>,
            $($field: $type,)*
            #[allow(dead_code)] // held until raw has gone
            lane: std::sync::Arc<crate::context::Lane>,
        }

        // Any thread, one at a time: not Sync.
        unsafe impl Send for $name {}

        impl Drop for $name {
            fn drop(&mut self) {
                unsafe { sys::$free(self.raw.as_ptr()) }
            }
        }

        impl $name {
            /// For [`sys`]; valid as long as this.
            pub fn as_ptr(&self) -> *mut sys::$raw {
                self.raw.as_ptr()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({:p})"), self.raw)
            }
        }
    };
}
pub(crate) use handle;
