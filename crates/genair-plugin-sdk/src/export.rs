//! The C side of a backbone: one generic function per entry of the table.

#![expect(unsafe_code, reason = "plugin boundary")]

use std::ffi::c_void;
use std::mem::ManuallyDrop;

use genair_abi::{
    BackboneDescriptor, Batch, CreateContext, Handshake, Host, OwnedStr, Status, Str, TensorPtr,
    VTable,
};

use crate::{Backbone, Builder, Error, Mode, Result, SequenceBatch, schema};

/// Makes the crate a plugin: exports the handshake of a [`Backbone`].
///
/// ```ignore
/// genair_plugin_sdk::export_backbone!(SasRec);
/// ```
#[macro_export]
macro_rules! export_backbone {
    ($backbone:ty) => {
        /// What the trainer reads first.
        #[unsafe(no_mangle)]
        #[expect(unsafe_code, reason = "plugin boundary: an exported symbol")]
        pub static GENAIR_BACKBONE_HANDSHAKE: $crate::private::Handshake =
            $crate::private::handshake($crate::private::VTable {
                describe: $crate::private::describe::<$backbone>,
                capabilities: $crate::private::capabilities::<$backbone>,
                create: $crate::private::create::<$backbone>,
                encode: $crate::private::encode::<$backbone>,
                drop: $crate::private::drop_model::<$backbone>,
            });
    };
}

/// The handshake of a plugin built with this SDK.
pub const fn handshake(vtable: VTable) -> Handshake {
    Handshake::new(
        env!("GENAIR_BUILT_LIBTORCH"),
        env!("GENAIR_BUILT_RUSTC"),
        env!("CARGO_PKG_VERSION"),
        vtable,
    )
}

/// [`VTable::describe`].
///
/// # Safety
/// `out` must be writable.
pub unsafe extern "C" fn describe<B: Backbone>(out: *mut OwnedStr) -> Status {
    Status::catch(|| -> Result<()> {
        let descriptor = BackboneDescriptor {
            name: B::NAME.to_owned(),
            version: B::VERSION.to_owned(),
            summary: B::SUMMARY.to_owned(),
            reference: B::REFERENCE.to_owned(),
            parameters: schema::parameters::<B>(),
        };
        let json = serde_json::to_string(&descriptor)?;
        // SAFETY: the caller's promise.
        unsafe { out.write(OwnedStr::from(json)) };
        Ok(())
    })
}

/// [`VTable::capabilities`].
///
/// # Safety
/// `params` must be readable and `out` writable.
pub unsafe extern "C" fn capabilities<B: Backbone>(params: Str<'_>, out: *mut OwnedStr) -> Status {
    Status::catch(|| -> Result<()> {
        // SAFETY: the caller's promise.
        let params = unsafe { params.to_string_lossy() };
        let capabilities = B::capabilities(&schema::parse::<B>(&params)?)?;
        let json = serde_json::to_string(&capabilities)?;
        // SAFETY: the caller's promise.
        unsafe { out.write(OwnedStr::from(json)) };
        Ok(())
    })
}

/// [`VTable::create`].
///
/// # Safety
/// `params`, `context` and `host` must be readable, `out` writable.
pub unsafe extern "C" fn create<B: Backbone>(
    params: Str<'_>,
    context: *const CreateContext,
    host: *const Host,
    out: *mut *mut c_void,
) -> Status {
    Status::catch(|| -> Result<()> {
        // SAFETY: the caller's promise.
        let (params, context, host) = unsafe { (params.to_string_lossy(), &*context, &*host) };
        let config = schema::parse::<B>(&params)?;
        B::capabilities(&config)?;
        let model = B::build(&config, &Builder::new(host, context))?;
        // SAFETY: the caller's promise.
        unsafe { out.write(Box::into_raw(Box::new(model)).cast()) };
        Ok(())
    })
}

/// [`VTable::encode`].
///
/// # Safety
/// `model` must come from [`create`] of the same backbone, `batch` be readable, `out` writable.
pub unsafe extern "C" fn encode<B: Backbone>(
    model: *mut c_void,
    batch: *const Batch,
    out: *mut TensorPtr,
) -> Status {
    Status::catch(|| -> Result<()> {
        // SAFETY: the caller's promise.
        let (model, raw) = unsafe { (&*model.cast::<B>(), &*batch) };
        // SAFETY: the caller's promise, for the pointers inside the batch.
        let batch = unsafe { SequenceBatch::from_abi(raw)? };
        let mode = if raw.training == 1 {
            Mode::train(raw.seed)
        } else {
            Mode::eval()
        };
        let states = model.encode(&batch, &mode)?;
        if states.size().first() != Some(&batch.wanted()) {
            return Err(Error::Batch(format!(
                "{} states were wanted, `encode` returned the shape {:?}",
                batch.wanted(),
                states.size()
            )));
        }
        let mut states = ManuallyDrop::new(states);
        // SAFETY: the caller's promise; the handle's owner is the host from here on.
        unsafe { out.write(states.as_mut_ptr().cast()) };
        Ok(())
    })
}

/// [`VTable::drop`].
///
/// # Safety
/// `model` must come from [`create`] of the same backbone, and is not used again.
pub unsafe extern "C" fn drop_model<B: Backbone>(model: *mut c_void) {
    // SAFETY: the caller's promise.
    let model = unsafe { Box::from_raw(model.cast::<B>()) };
    // A panicking destructor must not leave this function; what it leaks is gone with the process.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(model)));
}
