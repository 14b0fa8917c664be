use std::path::PathBuf;
use venule_data::*;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args[0].as_str() {
        "photo" => {
            for p in &args[1..] {
                match read_photograph(p, &ReadOptions::default()) {
                    Ok(ph) => {
                        let sum: u64 = ph
                            .image
                            .as_raw()
                            .iter()
                            .enumerate()
                            .map(|(i, &v)| (i as u64 % 65521 + 1) * u64::from(v))
                            .sum();
                        println!(
                            "{p}: {:?} {sum} {:?}",
                            ph.image.dimensions(),
                            ph.notes.iter().map(|n| n.to_string()).collect::<Vec<_>>()
                        )
                    }
                    Err(e) => println!("{p}: ERR {e}"),
                }
            }
        }
        "mask" => {
            for p in &args[1..] {
                match read_mask_with(p, &MaskRule::AsMeant) {
                    Ok(m) => {
                        let c = check_label(&m.mask, None, p, LabelCheck::default())
                            .err()
                            .map(|e| e.to_string());
                        let f = check_fov(&m.mask, p).err().map(|e| e.to_string());
                        println!(
                            "{p}: {} of {} {:?} label:{c:?} fov:{f:?}",
                            m.mask.count(),
                            m.mask.data().len(),
                            m.reading.map(|r| r.to_string())
                        )
                    }
                    Err(e) => println!("{p}: ERR {e}"),
                }
            }
        }
        "pred" => {
            let mut r = PredictionRange::new("folder");
            for p in &args[1..] {
                r.add(p).unwrap();
            }
            match r.scale() {
                Ok(s) => println!("{s}"),
                Err(e) => println!("ERR {e}"),
            }
        }
        "exam" => {
            for p in &args[1..] {
                let Ok(image) = read_image(p) else {
                    println!("{p}: unread");
                    continue;
                };
                let fov = match detect_fov(&image) {
                    Ok(f) => f,
                    Err(e) => {
                        println!("{p}: nofov {e}");
                        continue;
                    }
                };
                let w = examine(&image, &fov).unwrap();
                println!("{p}: {} {:?}", w.len(), w);
            }
        }
        "time" => {
            let root = PathBuf::from(&args[1]);
            let set = FolderSet::drive(&root, Split::All).unwrap();
            for _ in 0..3 {
                let start = std::time::Instant::now();
                let mut n = 0;
                for i in 0..set.len() {
                    let id = set.id(i).to_owned();
                    if id.parse::<u32>().unwrap() > 20 {
                        set.load(i).unwrap();
                        n += 1;
                    }
                }
                println!("{n} samples {:?}", start.elapsed());
            }
        }
        _ => {}
    }
}
