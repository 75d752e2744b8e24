// What a Rust program can ask of its host: the same as probe.c, through the standard library.
//
// rustc --target wasm32-wasi -O probe.rs -o probe.wasm (wasm32-wasip1 since Rust 1.78)
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, process, thread};

fn deep(n: u64) -> u64 {
    if n == u64::MAX { 0 } else { deep(n + 1).wrapping_mul(3) ^ n }
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    println!("args {:?} env {:?}", arguments, env::vars().collect::<Vec<_>>());
    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    println!("stdin {:?}", input);

    let began = Instant::now();
    thread::sleep(Duration::from_millis(2500));
    println!("time {:?} slept {:?}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap(), began.elapsed());
    // The order of a HashMap is random in every process of an ordinary host.
    let map: HashMap<u32, u32> = (0..12).map(|n| (n, n * n)).collect();
    println!("map {:?}", map.keys().collect::<Vec<_>>());
    let zero: f64 = input.len() as f64 * 0.0;
    println!("nan {:016x} {:016x}", (zero / zero).to_bits(), (1.0 / zero - 1.0 / zero).to_bits());

    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir("/reference")? {
        let entry = entry?;
        names.push(format!("{:?}/{}", entry.file_name(), entry.metadata()?.len()));
    }
    println!("reference {:?}", names);
    fs::create_dir_all("/outputs/deep/er")?;
    fs::File::create("/outputs/deep/er/file")?.write_all(b"written by Rust\n")?;
    fs::copy("/reference/a.txt", "/outputs/a.txt")?;
    println!("refused {:?}", fs::write("/reference/new", "x").unwrap_err().kind());

    match arguments.get(1).map(String::as_str) {
        Some("panic") => panic!("on purpose"),
        Some("deep") => println!("{}", deep(names.len() as u64)),
        Some("memory") => {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            loop {
                kept.push(vec![1; 1 << 20]);
            }
        }
        _ => process::exit(5),
    }
    Ok(())
}
