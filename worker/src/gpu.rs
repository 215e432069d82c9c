//! What the NVIDIA driver says of the GPUs of this host, where it is there.

use nvml_wrapper::{Nvml, enum_wrappers::device::TemperatureSensor};
use proto::v1::Device;

/// The driver, if there is one.
#[derive(Debug)]
pub struct Gpus {
    driver: Option<Nvml>,
}

impl Gpus {
    /// Looks for the driver once.
    pub fn find() -> Self {
        let driver = Nvml::init()
            .inspect_err(|error| tracing::debug!(%error, "no nvidia driver"))
            .ok();
        Self { driver }
    }

    /// Adds what the driver knows to devices that another program named: those of CUDA, in their order.
    pub fn complete(&self, devices: &mut [Device]) {
        let Some(driver) = &self.driver else { return };
        for device in devices {
            let Some(index) = cuda_index(&device.name) else {
                continue;
            };
            let Ok(gpu) = driver.device_by_index(index) else {
                continue;
            };
            device.utilization_percent = gpu.utilization_rates().ok().map(|rates| rates.gpu);
            device.temperature_celsius = gpu.temperature(TemperatureSensor::Gpu).ok();
            device.power_watts = gpu
                .power_usage()
                .ok()
                .map(|milliwatts| f64::from(milliwatts) / 1000.0);
            if let Ok(memory) = gpu.memory_info() {
                device.memory_total_bytes = memory.total;
                device.memory_free_bytes = memory.free;
            }
        }
    }
}

/// The index in a name such as `cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync`.
fn cuda_index(name: &str) -> Option<u32> {
    let index = name.strip_prefix("cuda:")?;
    index.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_devices_of_cuda_are_looked_up() {
        assert_eq!(
            cuda_index("cuda:1 NVIDIA GeForce RTX 4090 : cudaMallocAsync"),
            Some(1)
        );
        assert_eq!((cuda_index("cpu"), cuda_index("cuda:")), (None, None));
    }

    #[test]
    fn without_a_driver_devices_stay_as_they_are() {
        let mut devices = [Device {
            name: "cuda:0 X".to_owned(),
            memory_free_bytes: 7,
            ..Device::default()
        }];
        Gpus { driver: None }.complete(&mut devices);
        assert_eq!(
            (devices[0].memory_free_bytes, devices[0].temperature_celsius),
            (7, None)
        );
    }
}
