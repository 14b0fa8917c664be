//! The processes that `mpirun` starts.

use std::process::ExitCode;
use std::rc::Rc;

use venule::train::Communicator;

use crate::output::AnyResult;

/// Variables in which Open MPI, MPICH and its kin, and `srun` tell a process how many there are.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// How many processes were started together with this one, which is among them.
fn processes() -> usize {
    let sizes = SIZES.iter().filter_map(std::env::var_os);
    let mut sizes = sizes.filter_map(|size| size.to_str()?.parse().ok());
    sizes.next().unwrap_or(1)
}

/// Refuses to do the same work several times.
pub fn alone() -> AnyResult<()> {
    match processes() {
        0 | 1 => Ok(()),
        several => Err(format!(
            "{several} processes were started together, and each would do all of it; start one, or train with pretrain, finetune or adapt"
        )
        .into()),
    }
}

/// Trains, together with the others that `mpirun` has started, if it has.
pub fn together(
    train: impl FnOnce(Option<Rc<dyn Communicator>>) -> AnyResult<ExitCode>,
) -> AnyResult<ExitCode> {
    match processes() {
        0 | 1 => train(None),
        several => joined(several, train),
    }
}

#[cfg(feature = "mpi")]
fn joined(
    several: usize,
    train: impl FnOnce(Option<Rc<dyn Communicator>>) -> AnyResult<ExitCode>,
) -> AnyResult<ExitCode> {
    let mpi = Rc::new(venule::train::Mpi::start()?);
    if mpi.size() != several {
        return Err(format!(
            "{several} processes were started together, but MPI has joined {}; srun needs --mpi with what this MPI library knows, such as pmix",
            mpi.size()
        )
        .into());
    }
    let error = match train(Some(mpi.clone())) {
        Ok(code) => return Ok(code),
        Err(error) => error,
    };
    let rank = mpi.rank();
    if rank > 0 {
        // What stops all, such as a wrong path, is said by the first, which ends the others meanwhile.
        std::thread::sleep(std::time::Duration::from_secs(2));
        eprintln!("process {rank} of {} stops all:", mpi.size());
    }
    let _ = crate::output::exit(Err(error));
    // The others would wait for this one without end.
    mpi.abort(1)
}

#[cfg(not(feature = "mpi"))]
fn joined(
    several: usize,
    _: impl FnOnce(Option<Rc<dyn Communicator>>) -> AnyResult<ExitCode>,
) -> AnyResult<ExitCode> {
    Err(format!(
        "{several} processes were started together, but this build of the program trains in one alone; install with --features mpi"
    )
    .into())
}
