use venule::data::Dataset;
use venule::{ImageRecord, Provenance, Result, Seen};

/// Which images of a data set weights know, in words: a line on those that they were trained on, and one on those that their threshold
/// was `chosen` on, if that is asked. `prefix` stands before the ids in the records, and `name` is what the data set is called.
///
/// ```
/// use venule::data::{InMemory, Sample};
/// use venule::image::{Rgb, RgbImage};
/// use venule::{ImageRecord, Provenance};
/// use venule_lab::known_images;
/// let photo = |id: &str, gray| Sample::unlabelled(id, RgbImage::from_pixel(4, 4, Rgb([gray; 3])));
/// let provenance = Provenance::new(ImageRecord::of(&InMemory::new(vec![photo("a", 1)]), "")?, None, 0);
/// let test = InMemory::new(vec![photo("x", 1), photo("y", 2)]);
/// assert_eq!(
///     known_images(&provenance, &test, "", "the test", true)?,
///     ["was trained on 1 of the 2 images of the test ('x' is the first)"]
/// );
/// # Ok::<(), venule::Error>(())
/// ```
///
/// # Errors
/// If an image cannot be read.
pub fn known_images(
    provenance: &Provenance,
    images: &dyn Dataset,
    prefix: &str,
    name: &str,
    chosen: bool,
) -> Result<Vec<String>> {
    let records = ImageRecord::of(images, prefix)?;
    let note = |what: &str, seen: &dyn Fn(&ImageRecord) -> Seen| {
        let (mut known, mut unknown) = (Vec::new(), false);
        for (index, record) in records.iter().enumerate() {
            match seen(record) {
                Seen::Yes => known.push(images.id(index)),
                Seen::No => {}
                Seen::Unknown => unknown = true,
            }
        }
        match known.first() {
            Some(first) => Some(format!(
                "{what} {} of the {} images of {name} ('{first}' is the first)",
                known.len(),
                images.len()
            )),
            None => unknown.then(|| {
                format!("names images without their checksums: whether it {what} some of {name} is not known")
            }),
        }
    };
    let trained = note("was trained on", &|image| provenance.trained_on(image));
    let chose = |image: &ImageRecord| provenance.chose_threshold_on(image);
    let chosen = chosen.then(|| note("had its threshold chosen on", &chose));
    Ok(trained.into_iter().chain(chosen.flatten()).collect())
}
