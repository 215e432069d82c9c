//! Failures after which the ComfyUI process answers on but cannot work any more. Pure.

use std::fmt;

/// What happened to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Poison {
    /// A kernel touched memory that is not its own, or the GPU refused an instruction.
    IllegalAccess,
    /// A kernel could not be launched or ended without saying why.
    LaunchFailure,
    /// A check inside a kernel failed, such as an index out of range.
    DeviceAssert,
    /// The thread that works off ComfyUI's queue ended; the server still takes jobs that nobody runs.
    WorkerThread,
}

impl Poison {
    /// Finds it in a line of ComfyUI's log, or in what ComfyUI said of a failed run. A lack of memory is
    /// none: the process goes on after it.
    pub fn find(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let says = |mark: &str| text.contains(mark);
        if says("outofmemoryerror") || says("out of memory") || says("allocation on device") {
            return None;
        }
        let of_gpu = says("cuda error") || says("hip error");
        if says("hiperrorillegaladdress")
            || of_gpu
                && (says("an illegal memory access was encountered") || says("an illegal instruction was"))
        {
            Some(Self::IllegalAccess)
        } else if says("device-side assert triggered") {
            Some(Self::DeviceAssert)
        } else if says("unspecified launch failure") {
            Some(Self::LaunchFailure)
        } else if says("exception in thread") && says("(prompt_worker)") {
            Some(Self::WorkerThread)
        } else {
            None
        }
    }
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IllegalAccess => {
                "the GPU reported an illegal memory access; every later job would fail until ComfyUI is restarted"
            }
            Self::LaunchFailure => {
                "the GPU reported a launch failure; every later job would fail until ComfyUI is restarted"
            }
            Self::DeviceAssert => {
                "a check on the GPU failed (device-side assert); every later job would fail until ComfyUI is \
                 restarted"
            }
            Self::WorkerThread => {
                "the thread that runs ComfyUI's queue died; jobs would wait for ever until ComfyUI is restarted"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_process_is_recognised_by_what_it_says() {
        let cases = [
            (
                "!!! Exception during processing !!! CUDA error: an illegal memory access was encountered",
                Poison::IllegalAccess,
            ),
            (
                "torch.AcceleratorError: CUDA error: an illegal instruction was encountered",
                Poison::IllegalAccess,
            ),
            (
                "HIP error: an illegal memory access was encountered",
                Poison::IllegalAccess,
            ),
            ("RuntimeError: hipErrorIllegalAddress", Poison::IllegalAccess),
            (
                "RuntimeError: CUDA error: unspecified launch failure",
                Poison::LaunchFailure,
            ),
            (
                "RuntimeError: CUDA error: device-side assert triggered\nCUDA kernel errors might be …",
                Poison::DeviceAssert,
            ),
            (
                "Exception in thread Thread-1 (prompt_worker):",
                Poison::WorkerThread,
            ),
        ];
        for (text, poison) in cases {
            assert_eq!(Poison::find(text), Some(poison), "{text}");
            assert!(poison.to_string().contains("restarted"), "{poison}");
        }
    }

    #[test]
    fn what_the_process_survives_is_none() {
        for text in [
            "",
            "torch.OutOfMemoryError: Allocation on device",
            "CUDA error: out of memory",
            "RuntimeError: CUDA error: no kernel image is available for execution on the device",
            "Ran out of memory when regular VAE decoding, retrying with tiled",
            "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.",
            "Exception in thread Thread-7 (download):",
            "an illegal memory access was encountered is a sentence of a prompt",
        ] {
            assert_eq!(Poison::find(text), None, "{text}");
        }
    }
}
