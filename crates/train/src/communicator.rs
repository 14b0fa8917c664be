//! Processes that train one model together.

mod in_process;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "nccl")]
mod nccl;

use crate::BoxError;

#[cfg(feature = "mpi")]
pub use self::mpi::Mpi;
#[cfg(feature = "nccl")]
pub use self::nccl::Nccl;
pub use in_process::InProcess;

/// What joins the processes that train one model together, each with a copy of it: the ranks 0 to `size` - 1.
///
/// [`Trainer::with_communicator`](crate::Trainer::with_communicator) takes one. All ranks make the same calls in the same order, and each
/// returns when all have made it. [`InProcess`] joins threads, `Mpi` (feature `mpi`) the processes that
/// `mpirun` starts, and `Nccl` (feature `nccl`) the GPUs of either.
pub trait Communicator {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// How many processes there are.
    fn size(&self) -> usize;

    /// Puts the sum over all ranks, element by element, in the place of `values`; all give as many, and all get the same bits.
    ///
    /// # Errors
    /// If another rank is gone.
    fn all_reduce(&self, values: &mut [f32]) -> Result<(), BoxError>;

    /// The messages of all ranks, in their order; they need not be equally long.
    ///
    /// # Errors
    /// If another rank is gone.
    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, BoxError>;

    /// The message of rank 0; those of the others are not looked at.
    ///
    /// # Errors
    /// If another rank is gone.
    fn broadcast(&self, message: Vec<u8>) -> Result<Vec<u8>, BoxError>;

    /// Returns when all ranks are here.
    ///
    /// # Errors
    /// If another rank is gone.
    fn barrier(&self) -> Result<(), BoxError> {
        self.all_gather(&[]).map(|_| ())
    }
}
