//! What is answered, and what is refused.

use std::time::Duration;

use venule::data::mask_image;
use venule::image;

use crate::support::{Running, photograph, segmenter};

fn server() -> Running {
    Running::new("--upload-mib 1", Duration::ZERO)
}

#[test]
fn an_answer_is_what_the_library_gives() {
    let server = server();
    let (photo, png) = photograph(70, 50);
    let (segmenter, _) = segmenter(Duration::ZERO);
    let found = segmenter.segment(&photo).unwrap();
    let json = server.ask("POST /segment\nAccept: application/json", &png);
    assert_eq!(json.status, 200);
    let numbers = json.json();
    assert_eq!(
        (&numbers["width"], &numbers["height"]),
        (&70.into(), &50.into())
    );
    assert_eq!(numbers["vessel_pixels"], found.mask.count());
    assert_eq!(numbers["fov_pixels"], 3500);
    assert!(
        numbers["warning_kinds"]
            .as_array()
            .unwrap()
            .contains(&"low_resolution".into()),
        "{numbers}"
    );

    let picture = server.ask("POST /segment", &png);
    assert!(
        picture.head.contains("content-type: image/png"),
        "{}",
        picture.head
    );
    assert!(
        picture.head.contains("x-venule-warnings: ") && picture.head.contains("low_resolution"),
        "{}",
        picture.head
    );
    let read = |body: &[u8]| image::load_from_memory(body).unwrap();
    assert_eq!(
        read(&picture.body).to_luma8(),
        mask_image(&found.mask).unwrap()
    );
    let probability = server.ask("POST /segment?kind=probability\nAccept: image/png", &png);
    assert_eq!(
        read(&probability.body).to_luma8(),
        venule::data::probability_image(&found.probability).unwrap()
    );
    let overlay = server.ask("POST /segment?kind=overlay", &png);
    assert_eq!(
        read(&overlay.body).to_rgb8(),
        found.overlay(&photo, None).unwrap()
    );
    // Above a probability of 1 there is nothing, above 0 everything.
    for (threshold, count) in [("1", 0), ("0", 3500)] {
        let head = format!("POST /segment?threshold={threshold}\nAccept: application/json");
        assert_eq!(server.ask(&head, &png).json()["vessel_pixels"], count);
    }
    assert_eq!(server.health(), (0, 0));
    assert!(server.end());
}

#[test]
fn what_cannot_be_answered_is_refused_with_a_code() {
    let server = server();
    let (_, png) = photograph(40, 30);
    let post = |more: &str, body: &[u8]| server.ask(&format!("POST /segment{more}"), body);
    post("", b"").expect(400, "empty", "photograph");
    post("", b"neither PNG nor JPEG").expect(415, "format", "the photograph");
    let form = "\nContent-Type: multipart/form-data; boundary=x";
    post(form, b"--x\r\n").expect(415, "multipart", "--data-binary");
    post("", &png[..png.len() / 2]).expect(422, "photograph", "the photograph");
    post("?kind=veins", &png).expect(400, "query", "veins");
    post("?treshold=0.5", &png).expect(400, "query", "treshold");
    post("?threshold=much", &png).expect(400, "query", "threshold");
    post("?threshold=1.5", &png).expect(400, "threshold", "1.5");
    post("?threshold=NaN", &png).expect(400, "threshold", "NaN");
    post("?kind=mask\nAccept: application/json", &png).expect(400, "query", "image/png");
    post("\nAccept: text/html", &png).expect(406, "not_acceptable", "application/json");
    server
        .ask("GET /nowhere", b"")
        .expect(404, "not_found", "/segment");
    let answer = server.ask("GET /segment", b"");
    answer.expect(405, "method", "POST");
    assert!(answer.head.contains("allow: post"), "{}", answer.head);
    server
        .ask("DELETE /healthz", b"")
        .expect(405, "method", "GET");
    // No file of this machine is named.
    let refused = post("", b"neither PNG nor JPEG");
    let text = String::from_utf8(refused.body).unwrap();
    assert!(!text.contains("tmp"), "{text}");
    assert_eq!(server.calls(), 0);
    assert!(server.end());
}
