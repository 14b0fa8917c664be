//! What a panic says: in WebAssembly it ends the instance, and its message would be lost.

use std::cell::RefCell;

use wasm_bindgen::prelude::*;

thread_local! {
    static WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps what a panic says from now on.
#[wasm_bindgen]
pub fn listen() {
    std::panic::set_hook(Box::new(|panic| {
        WORDS.with_borrow_mut(|words| *words = panic.to_string());
    }));
}

/// What the last panic said; nothing if memory ran out.
#[wasm_bindgen]
pub fn last_words() -> String {
    WORDS.with_borrow(String::clone)
}
