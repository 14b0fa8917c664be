use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives, Root};

use super::Communicator;
use crate::BoxError;

/// Elements that one call of MPI counts at most: its counts have 31 bits.
const MOST: usize = 1 << 28;

/// The processes that `mpirun` has started, joined by MPI.
///
/// MPI ends with this value, so it must live until the process has nothing more to say to the others. It belongs to the thread that
/// made it. Should a rank die, `mpirun` ends the others; one that stops by an error ends them by [`abort`](Self::abort), and a panic
/// does so by itself.
pub struct Mpi {
    // Before the universe, which ends MPI.
    world: SimpleCommunicator,
    _universe: Universe,
}

impl Mpi {
    /// Joins the other processes; called once in a process.
    ///
    /// # Errors
    /// If MPI is in use already.
    pub fn start() -> Result<Self, BoxError> {
        // Threads compute; this one alone speaks to MPI.
        let started = mpi::initialize_with_threading(Threading::Funneled);
        let (universe, _) = started.ok_or("MPI is in use in this process already")?;
        Ok(Self {
            world: universe.world(),
            _universe: universe,
        })
    }

    /// Ends all processes with this exit code: for an error of one, for which the others would wait without end.
    pub fn abort(&self, code: i32) -> ! {
        self.world.abort(code)
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The end of MPI would wait for the others, and they for this rank.
            self.world.abort(101);
        }
    }
}

impl std::fmt::Debug for Mpi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mpi(rank {} of {})", self.rank(), self.size())
    }
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn all_reduce(&self, values: &mut [f32]) -> Result<(), BoxError> {
        for part in values.chunks_mut(MOST) {
            let own = part.to_vec();
            self.world
                .all_reduce_into(&own[..], part, SystemOperation::sum());
        }
        Ok(())
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, BoxError> {
        let length = i32::try_from(message.len())?;
        let mut lengths = vec![0i32; self.size()];
        self.world.all_gather_into(&length, &mut lengths[..]);
        let mut total = 0i32;
        let mut starts = Vec::with_capacity(lengths.len());
        for length in &lengths {
            starts.push(total);
            total = total
                .checked_add(*length)
                .ok_or("messages of more than 2 GiB")?;
        }
        let mut all = vec![0u8; total as usize];
        let mut parts = PartitionMut::new(&mut all[..], &lengths[..], &starts[..]);
        self.world.all_gather_varcount_into(message, &mut parts);
        let parts = lengths.iter().zip(&starts);
        Ok(parts
            .map(|(&length, &start)| all[start as usize..][..length as usize].to_vec())
            .collect())
    }

    fn broadcast(&self, mut message: Vec<u8>) -> Result<Vec<u8>, BoxError> {
        let root = self.world.process_at_rank(0);
        let mut length = message.len() as u64;
        root.broadcast_into(&mut length);
        message.resize(usize::try_from(length)?, 0);
        for part in message.chunks_mut(MOST) {
            root.broadcast_into(part);
        }
        Ok(message)
    }

    fn barrier(&self) -> Result<(), BoxError> {
        self.world.barrier();
        Ok(())
    }
}
