//! Training in bfloat16, by libtorch's autocast: matrix products take and give 16 bits, everything
//! else, the parameters, their gradients and Adam among it, stays float32.
//!
//! tch switches autocast for CUDA alone, and to float16; the functions behind it are looked up by name
//! in the libtorch that is loaded. They act on the calling thread.

#![expect(
    unsafe_code,
    reason = "symbols of the loaded libtorch are looked up by name"
)]

use genair_protocol::Precision;
use libloading::os::unix::Library;
use tch::Device;

use crate::RunErrorKind;

/// `void at::autocast::set_autocast_enabled(c10::DeviceType, bool)`
const SET_ENABLED: &[u8] = b"_ZN2at8autocast20set_autocast_enabledEN3c1010DeviceTypeEb\0";
/// `void at::autocast::set_autocast_dtype(c10::DeviceType, c10::ScalarType)`
const SET_KIND: &[u8] =
    b"_ZN2at8autocast18set_autocast_dtypeEN3c1010DeviceTypeENS1_10ScalarTypeE\0";
/// `c10::DeviceType::CPU` and `CUDA`; both enumerations have `int8_t` beneath.
const CPU: i8 = 0;
const CUDA: i8 = 1;
/// `c10::ScalarType::BFloat16`
const BFLOAT16: i8 = 15;

/// Runs what computes item vectors and states in the precision of the spec.
pub(crate) struct Autocast(Option<Switch>);

struct Switch {
    device: i8,
    set_enabled: unsafe extern "C" fn(i8, bool),
}

impl Autocast {
    /// # Errors
    /// [`RunErrorKind::Spec`] where the loaded libtorch has no such switch.
    pub(crate) fn new(precision: Precision, device: Device) -> Result<Self, RunErrorKind> {
        if precision == Precision::Float32 {
            return Ok(Self(None));
        }
        let device = match device {
            Device::Cuda(_) => CUDA,
            _ => CPU,
        };
        let missing = |error: libloading::Error| RunErrorKind::Spec {
            key: "train.precision",
            value: "`bfloat16`".to_owned(),
            reason: format!("the loaded libtorch cannot switch it on ({error}); use `float32`"),
        };
        let this = Library::this();
        // SAFETY: the names are mangled with the types of their arguments, both enumerations are
        // `int8_t`, and neither function throws for a CPU or CUDA device.
        let set_enabled = unsafe {
            let set_kind = this
                .get::<unsafe extern "C" fn(i8, i8)>(SET_KIND)
                .map_err(missing)?;
            set_kind(device, BFLOAT16);
            *this
                .get::<unsafe extern "C" fn(i8, bool)>(SET_ENABLED)
                .map_err(missing)?
        };
        Ok(Self(Some(Switch {
            device,
            set_enabled,
        })))
    }

    /// Calls `compute` in the chosen precision. Its results may be of 16 bits.
    pub(crate) fn run<T>(&self, compute: impl FnOnce() -> T) -> T {
        let _enabled = self.0.as_ref().map(Enabled::new);
        compute()
    }
}

/// Switches back when dropped, also while a panic unwinds.
struct Enabled<'a>(&'a Switch);

impl<'a> Enabled<'a> {
    fn new(switch: &'a Switch) -> Self {
        // SAFETY: as in `Autocast::new`; the nesting is a counter of this thread.
        unsafe {
            torch_sys::at_autocast_increment_nesting();
            (switch.set_enabled)(switch.device, true);
        }
        Self(switch)
    }
}

impl Drop for Enabled<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `new`. The cache holds 16-bit copies of parameters, which the next step of
        // the optimiser makes stale.
        unsafe {
            (self.0.set_enabled)(self.0.device, false);
            torch_sys::at_autocast_decrement_nesting();
            torch_sys::at_autocast_clear_cache();
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    #[test]
    fn products_are_of_16_bits_inside_and_of_32_outside() {
        let product = || {
            Tensor::ones([4, 4], (Kind::Float, Device::Cpu))
                .matmul(&Tensor::eye(4, (Kind::Float, Device::Cpu)))
        };
        let autocast = Autocast::new(Precision::Bfloat16, Device::Cpu).unwrap();
        assert_eq!(autocast.run(product).kind(), Kind::BFloat16);
        assert_eq!(product().kind(), Kind::Float);
        let plain = Autocast::new(Precision::Float32, Device::Cpu).unwrap();
        assert_eq!(plain.run(product).kind(), Kind::Float);
    }

    #[test]
    fn a_panic_switches_back() {
        let autocast = Autocast::new(Precision::Bfloat16, Device::Cpu).unwrap();
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            autocast.run(|| panic!("inside"))
        }));
        assert!(unwound.is_err());
        let ones = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        assert_eq!(ones.matmul(&ones).kind(), Kind::Float);
    }
}
