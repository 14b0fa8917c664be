use venule::{ImageRecord, Provenance, Seen};

/// Which images of a data set weights know, in words: a line on those that they were trained on, and one on those that their threshold
/// was `chosen` on, if that is asked. `name` is what the data set is called.
///
/// ```
/// use venule::data::{InMemory, Sample};
/// use venule::image::{Rgb, RgbImage};
/// use venule::{ImageRecord, Provenance};
/// use venule_lab::known_images;
/// let photo = |id: &str, gray| Sample::unlabelled(id, RgbImage::from_pixel(4, 4, Rgb([gray; 3])));
/// let records = |photos| ImageRecord::of(&InMemory::new(photos), "");
/// let provenance = Provenance::new(records(vec![photo("a", 1)])?, None, 0);
/// let test = records(vec![photo("x", 1), photo("y", 2)])?;
/// assert_eq!(
///     known_images(&provenance, &test, "the test", true),
///     ["was trained on 1 of the 2 images of the test ('x' is the first)"]
/// );
/// # Ok::<(), venule::Error>(())
/// ```
pub fn known_images(
    provenance: &Provenance,
    images: &[ImageRecord],
    name: &str,
    chosen: bool,
) -> Vec<String> {
    let note = |what: &str, seen: &dyn Fn(&ImageRecord) -> Seen| {
        let (mut known, mut unknown) = (Vec::new(), false);
        for image in images {
            match seen(image) {
                Seen::Yes => known.push(image),
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
    trained.into_iter().chain(chosen.flatten()).collect()
}
