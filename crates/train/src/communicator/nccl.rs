use candle_core::CudaDevice;
use candle_core::cuda_backend::cudarc::nccl::result::NcclError;
use candle_core::cuda_backend::cudarc::nccl::{Comm, Id, ReduceOp};

use super::Communicator;
use crate::BoxError;

/// Bytes of the number by which the ranks of NCCL find each other.
const ID: usize = 128;

/// Another communicator, whose sums are made between NVIDIA GPUs, one for each rank, by NCCL.
///
/// All else, such as how the ranks find each other, goes through the other one: `Mpi` between processes, `InProcess` between threads.
/// Values lie in host memory before and after a sum. That a rank is gone is seen before a sum, not within it.
/// This code is type-checked and has not run: no machine with several GPUs was at hand.
#[derive(Debug)]
pub struct Nccl<C> {
    messages: C,
    device: CudaDevice,
    sums: Comm,
}

impl<C: Communicator> Nccl<C> {
    /// Joins the GPUs of all ranks; `device` is this rank's, and no other rank's.
    ///
    /// # Errors
    /// If another rank is gone, or NCCL does not start.
    pub fn new(messages: C, device: CudaDevice) -> Result<Self, BoxError> {
        let own = match messages.rank() {
            // Without an id there is an empty message, so that no rank waits for it.
            0 => Id::new().map_or(Vec::new(), |id| {
                id.internal().iter().map(|byte| *byte as u8).collect()
            }),
            _ => Vec::new(),
        };
        let id: [u8; ID] = messages
            .broadcast(own)?
            .try_into()
            .map_err(|_| "NCCL did not start on rank 0")?;
        let id = Id::uninit(id.map(|byte| byte as std::ffi::c_char));
        let stream = device.cuda_stream();
        // NCCL takes the device of the calling thread.
        stream.context().bind_to_thread()?;
        messages.barrier()?;
        let sums = Comm::from_rank(stream, messages.rank(), messages.size(), id);
        let sums = sums.map_err(|error| failed("joining the ranks", &error))?;
        Ok(Self {
            messages,
            device,
            sums,
        })
    }
}

/// `NcclError` is not a [`std::error::Error`] in each version of its crate.
fn failed(what: &str, error: &NcclError) -> BoxError {
    format!("{what} by NCCL failed: {:?}", error.0).into()
}

impl<C: Communicator> Communicator for Nccl<C> {
    fn rank(&self) -> usize {
        self.messages.rank()
    }

    fn size(&self) -> usize {
        self.messages.size()
    }

    fn all_reduce(&self, values: &mut [f32]) -> Result<(), BoxError> {
        self.messages.barrier()?;
        let mut on_device = self.device.clone_htod(values)?;
        let summed = self
            .sums
            .all_reduce_in_place(&mut on_device, &ReduceOp::Sum);
        summed.map_err(|error| failed("a sum", &error))?;
        // On the stream of the sum, so after it.
        values.copy_from_slice(&self.device.clone_dtoh(&on_device)?);
        Ok(())
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, BoxError> {
        self.messages.all_gather(message)
    }

    fn broadcast(&self, message: Vec<u8>) -> Result<Vec<u8>, BoxError> {
        self.messages.broadcast(message)
    }

    fn barrier(&self) -> Result<(), BoxError> {
        self.messages.barrier()
    }
}
