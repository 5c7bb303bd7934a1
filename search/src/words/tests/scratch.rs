use super::*;
use std::time::Instant;

#[test]
fn scratch() {
    let Ok(path) = std::env::var("TEXTS") else {
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let mails: Vec<Vec<String>> = text
        .lines()
        .map(|l| l.split('\t').map(fold_collapsed).collect())
        .collect();
    for accounts in [1u64, 60] {
        let (files, _, mut writer) = fresh();
        let mut bytes = 0;
        let start = Instant::now();
        let mut order: Vec<usize> = (0..6000).collect();
        order.sort_by_key(|i| (*i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for (n, i) in order.iter().enumerate() {
            let m = &mails[*i];
            let account = ((n as u64) % accounts).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            bytes += m.iter().map(String::len).sum::<usize>();
            let texts = [
                (Field::Body, m[0].as_str()),
                (Field::From, &m[1]),
                (Field::To, &m[2]),
                (Field::Cc, &m[3]),
                (Field::Subject, &m[4]),
            ];
            writer.add(account, id(n as u64), &texts).unwrap();
            if n % 500 == 499 {
                writer.commit(b"").unwrap();
            }
        }
        writer.commit(b"").unwrap();
        let took = start.elapsed();
        let reader = writer.reader();
        eprintln!(
            "accounts {accounts}: {:.3} of {bytes}, {} segments, {:?}, {:.0}/s",
            files.total() as f64 / bytes as f64,
            reader.segments(),
            took,
            6000.0 / took.as_secs_f64()
        );
        super::size::kinds(&files, bytes);
        for (text, prefix, f) in [
            ("linux", false, Fuzziness::Exact),
            ("linux", false, Fuzziness::ByLength),
            ("kernel developement", false, Fuzziness::ByLength),
            ("the", false, Fuzziness::Exact),
            ("mailing list inf", true, Fuzziness::ByLength),
            ("a", true, Fuzziness::Exact),
            ("absolutely fantastic", false, Fuzziness::ByLength),
            ("the and with from this", false, Fuzziness::ByLength),
        ] {
            let mut ask = Ask::new(text, Fields::ALL, f);
            if prefix {
                ask = ask.with_prefix();
            }
            reader.ask(0, &ask, 20, &mut never()).unwrap();
            let start = Instant::now();
            let mut total = 0;
            for _ in 0..20 {
                total = reader.ask(0, &ask, 20, &mut never()).unwrap().total;
            }
            eprintln!("  {text:?} {f:?} {total} hits {:?}", start.elapsed() / 20);
        }
        let start = Instant::now();
        for _ in 0..20 {
            reader
                .complete(0, "co", Fields::ALL, 10, &mut never())
                .unwrap();
        }
        eprintln!("  complete {:?}", start.elapsed() / 20);
        let start = Instant::now();
        for _ in 0..20 {
            reader
                .suggest(0, "developement", Fields::ALL, 10, &mut never())
                .unwrap();
        }
        eprintln!("  suggest {:?}", start.elapsed() / 20);
    }
}
