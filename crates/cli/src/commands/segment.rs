mod at_once;
mod lines;
mod list;
mod manifest;
mod photograph;
mod places;
mod shard;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};
use venule::data::{Checksum, FovPolicy, Mask, MaskRule, check_fov, read_mask_with};
use venule::file::write_atomic;
use venule::train::peak_memory_mb;
use venule::{Predict, parse_device, set_threads, threads};
use venule_lab::{Count, weights_checksum};

use crate::output::{AnyResult, INTERRUPTED, check_places, check_tables, expect_no_input, say};
use crate::support::{self, PictureKind, picture_path, stop_flag};
use crate::system::{OnnxArgs, System};
use list::{Item, Photographs};
use manifest::Manifest;
use photograph::{Done, failed_row};
use places::Places;
use shard::Shard;

/// Find the vessels in photographs: NAME_mask.png, NAME_probability.png and NAME_overlay.png of each.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule segment photo.jpg\n  venule segment --fast --out vessels *.png\n  \
        venule segment --list photos.txt --shard 2/8 --write mask --out vessels --manifest vessels/2.jsonl --resume"
)]
pub struct Args {
    /// Photographs: PNG, JPEG, TIFF, GIF, BMP, PPM, also gzipped
    #[arg(required_unless_present = "list")]
    images: Vec<PathBuf>,
    /// Photographs named by a text, one path a line, behind those of the command line; - is standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Of N shards of the photographs the I-th alone: 2/8 takes the second, the tenth, …
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Write what has become of each photograph to this file of JSON lines, at once, and show progress instead of lines
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Go on with the manifest: what is done there is passed over, what failed is tried again. Without a manifest yet, begin
    #[arg(long, requires = "manifest")]
    resume: bool,
    /// Weights that `finetune` wrote, or bundled, bundled-fast or label-free, those without any human label, or an ONNX file [default: bundled]
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Of the bundled weights the fast ones: less accurate, in a quarter of the time
    #[arg(long, conflicts_with = "weights")]
    fast: bool,
    /// Folder of the results
    #[arg(long, default_value = "out/segment")]
    out: PathBuf,
    /// Which pictures to write
    #[arg(
        long,
        value_name = "PICTURES",
        value_enum,
        value_delimiter = ',',
        default_value = "mask,probability,overlay"
    )]
    write: Vec<PictureKind>,
    /// Mark pixels above this probability [default: the one chosen in training, stored in the weights]
    #[arg(long)]
    threshold: Option<f32>,
    /// A mask image of the field of view, for all photographs [default: it is detected]
    #[arg(long, conflicts_with = "full_frame")]
    fov: Option<PathBuf>,
    /// Take the whole frame as field of view
    #[arg(long)]
    full_frame: bool,
    /// The page to read of a TIFF that holds several photographs, or the picture of such a JPEG file, counted from 1
    #[arg(long)]
    page: Option<usize>,
    /// Write of every photograph its results, vessel share and warnings, or its error, to this JSON file; of a list --manifest does
    #[arg(long, conflicts_with = "list")]
    json: Option<PathBuf>,
    /// Take a warning for an error: nothing is written of that photograph
    #[arg(long)]
    strict: bool,
    /// Average over the photograph and its three mirror images: four times the work
    #[arg(long)]
    flips: bool,
    /// Photographs at work at the same time, each with memory of its own: while one is read or written, another is in the network
    /// [default: 2 with --manifest, on the CPU and with weights of this project, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    at_once: Option<u16>,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    device: String,
    #[command(flatten)]
    onnx: OnnxArgs,
}

pub fn run(mut args: Args) -> AnyResult<ExitCode> {
    set_threads(args.threads)?;
    venule::nn::keep_freed_memory();
    args.write.sort();
    args.write.dedup();
    if args.manifest.as_deref() == Some(Path::new("-")) {
        return Err("a manifest is a file that a later run reads, and not -; name one".into());
    }
    let photographs = Photographs::gather(&args.images, args.list.as_deref())?;
    let items = &photographs.items;
    let _made = check_tables([args.out.as_path()], args.json.as_deref())?;
    let _made = check_places([], args.manifest.as_deref())?;
    let others = || args.fov.iter().chain(&args.list).map(PathBuf::as_path);
    let places = Places::new(&args.out, &args.write, items, others());
    for table in args.json.iter().chain(&args.manifest) {
        expect_no_input(table, others())?;
        places.check_table(table)?;
    }
    if args.list.is_none() {
        // What a human has typed is refused before any work; of a list one bad name stops nothing.
        items.iter().try_for_each(|item| places.check(&item.name))?;
    }
    let fov = args.fov.as_deref().map(field_of_view).transpose()?;
    let segmenter = segmenter(&args)?;
    let shard = args.shard.unwrap_or_default();
    let (manifest, done) = match &args.manifest {
        None => (None, vec![false; items.len()]),
        Some(path) => {
            let header = header(&args, &segmenter, items)?;
            let (manifest, done) = Manifest::open(path, &header, args.resume, items)?;
            (Some(manifest), done)
        }
    };
    if photographs.repeated > 0 {
        say!(
            "photographs that come again, and count once: {}",
            photographs.repeated
        );
    }
    let mine = (0..items.len()).filter(|&place| shard.holds(place));
    let (before, todo): (Vec<usize>, Vec<usize>) = mine.partition(|&place| done[place]);

    let stop = stop_flag("photograph")?;
    let mut count = manifest
        .as_ref()
        .map(|_| Count::new("photographs", todo.len()));
    let mut tally = Tally::default();
    let begun = Instant::now();
    let mut rows = Vec::new();
    let work = |place: usize| {
        let item = &items[place];
        guarded(|| {
            places.check(&item.name)?;
            photograph::segment(&args, &segmenter, fov.as_ref(), item)
        })
    };
    // What is typed by hand keeps its order; ONNX files have one plan at a time, and devices memory of their own.
    let many = manifest.is_some() && segmenter.is_on_cpu() && threads() > 1;
    let at_once = args.at_once.map_or(1 + usize::from(many), usize::from);
    at_once::for_each(&todo, at_once, &stop, work, |place, result| {
        let item = &items[place];
        tally.add(&result);
        if let (Ok(done), None) = (&result, &manifest) {
            tell(&args, item, done);
        }
        let row = match result {
            Ok(done) => done.row,
            Err(error) => {
                let said = error_line(item, &error);
                match &count {
                    Some(count) => count.line(&said),
                    None => eprintln!("{said}"),
                }
                failed_row(item, &error)
            }
        };
        if let Some(manifest) = &manifest {
            manifest.append(&row)?;
        }
        if args.json.is_some() {
            rows.push((place, row));
        }
        if let Some(count) = &mut count {
            count.show(tally.done(), &tally.remark());
        }
        Ok(())
    })?;
    drop(count);
    if let Some(path) = &args.json {
        rows.sort_by_key(|(place, _)| *place);
        let rows: Vec<Value> = rows.into_iter().map(|(_, row)| row).collect();
        write_atomic(path, &serde_json::to_vec_pretty(&rows)?)?;
        say!("all numbers: {}", path.display());
    }
    if let (Some(manifest), Some(path)) = (&manifest, &args.manifest) {
        manifest.sync()?;
        let part = args
            .shard
            .map_or(String::new(), |shard| format!(" of shard {shard}"));
        let all = before.len() + todo.len();
        let before = before.len();
        let rate = tally.done() as f64 / begun.elapsed().as_secs_f64().max(1e-9);
        let memory = peak_memory_mb().map_or(String::new(), |peak| format!(", {peak:.0} MiB"));
        say!(
            "{all} photographs{part}: {} segmented, {} with warnings, {} failed, {before} done before; {rate:.1} a second{memory}: {}",
            tally.segmented,
            tally.warned,
            tally.failed,
            path.display()
        );
    }
    let left = todo.len() - tally.done();
    if left > 0 {
        let how = match args.manifest {
            Some(_) => "go on with the same command and --resume",
            None => "--manifest FILE lets the next run go on where it was stopped",
        };
        say!("interrupted; {left} photographs are left: {how}");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(match tally.failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// What has become of photographs.
#[derive(Default)]
struct Tally {
    segmented: usize,
    warned: usize,
    failed: usize,
}

impl Tally {
    fn add(&mut self, result: &Result<Done, String>) {
        match result {
            Ok(done) => {
                self.segmented += 1;
                self.warned += usize::from(!done.warnings.is_empty());
            }
            Err(_) => self.failed += 1,
        }
    }

    fn done(&self) -> usize {
        self.segmented + self.failed
    }

    fn remark(&self) -> String {
        match self.failed {
            0 => String::new(),
            failed => format!("{failed} failed"),
        }
    }
}

/// What goes wrong with one photograph must not stop the others, a panic neither.
fn guarded<T>(work: impl FnOnce() -> AnyResult<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the program failed on this photograph; please report it".to_owned()),
    }
}

/// Most errors name the file; some come from further in.
fn error_line(item: &Item, error: &str) -> String {
    match error.contains(&*item.path.to_string_lossy()) {
        true => format!("error: {error}"),
        false => format!("error: {}: {error}", item.path.display()),
    }
}

/// Says what there is to say of a photograph.
fn tell(args: &Args, item: &Item, done: &Done) {
    let path = item.path.display();
    for note in &done.notes {
        say!("{path}: {note}");
    }
    for warning in &done.warnings {
        eprintln!("warning: {path}: {warning}");
    }
    if let Some(&last) = args.write.last() {
        let picture = picture_path(&args.out, &item.name, last);
        say!("{path} -> {}", picture.display());
    }
}

/// The mask of the field of view, with how it is read said.
fn field_of_view(path: &Path) -> AnyResult<Mask> {
    let read = read_mask_with(path, &MaskRule::AsMeant)?;
    check_fov(&read.mask, path)?;
    if let Some(reading) = read.reading {
        let value = reading.vessel;
        say!(
            "{}: {value} counts as field of view, {} does not",
            path.display(),
            reading.background
        );
    }
    Ok(read.mask)
}

fn segmenter(args: &Args) -> AnyResult<System> {
    let device = parse_device(&args.device)?;
    let segmenter = System::open(args.weights.as_deref(), args.fast, &device, &args.onnx)?;
    args.onnx.expect_use(&[&segmenter])?;
    let mut segmenter = segmenter.with_flips(args.flips);
    if let Some(threshold) = args.threshold {
        segmenter = segmenter.with_threshold(threshold)?;
    }
    if args.full_frame {
        segmenter = segmenter.with_fov_policy(FovPolicy::FullFrame);
    }
    if args.fov.is_some() {
        segmenter = segmenter.with_fov_policy(FovPolicy::Given);
    }
    Ok(segmenter)
}

/// The first line of a manifest: everything that the results depend on.
fn header(args: &Args, segmenter: &System, items: &[Item]) -> AnyResult<Value> {
    let weights = support::weights_name(args.weights.as_deref(), args.fast);
    let fov = args.fov.as_deref().map(Checksum::of_file).transpose()?;
    let kinds: Vec<&str> = args.write.iter().map(|kind| kind.name()).collect();
    // A relative path is another photograph elsewhere.
    let folder = match items.iter().any(|item| item.path.is_relative()) {
        true => Some(std::env::current_dir()?.to_string_lossy().into_owned()),
        false => None,
    };
    let settings = json!({
        "weights_checksum": weights_checksum(weights)?,
        "threshold": shortest(segmenter.threshold()),
        "onnx": args.onnx.described(),
        "fov_checksum": fov,
        "full_frame": args.full_frame,
        "flips": args.flips,
        "page": args.page,
        "strict": args.strict,
        "write": kinds,
        "out": std::path::absolute(&args.out)?.to_string_lossy(),
        (manifest::WORKING_DIRECTORY): folder,
    });
    Ok(manifest::header(&weights.to_string_lossy(), settings))
}

/// A number with the digits that tell it from its neighbours, as it was typed.
fn shortest(number: f32) -> Value {
    serde_json::from_str(&number.to_string()).unwrap_or_else(|_| number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photograph_on_which_the_program_fails_is_an_error_of_its_own() {
        let error = guarded::<()>(|| panic!("for this test")).unwrap_err();
        assert!(error.contains("failed on this photograph"), "{error}");
        assert_eq!(guarded(|| Ok(1)), Ok(1));
        assert_eq!(
            guarded::<()>(|| Err("damaged".into())),
            Err("damaged".to_owned())
        );
    }
}
