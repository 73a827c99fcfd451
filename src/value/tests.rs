#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;

/// The same vectors that `__test__/20-values.test.js` reads.
fn vectors(section: &str) -> Vec<Value> {
    let text = include_str!("../../__test__/fixtures/values.json");
    let fixture: Value = serde_json::from_str(text).unwrap();
    fixture[section].as_array().unwrap().clone()
}

fn bytes_of(vector: &Value) -> Vec<u8> {
    let hex = vector["hex"].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn every_vector_becomes_its_json() {
    for vector in vectors("values") {
        let bytes = bytes_of(&vector);
        check(&bytes).unwrap();
        let json = to_json(&bytes).unwrap();
        assert_eq!(json.to_string(), vector["json"].to_string(), "{}", vector["name"]);
    }
}

#[test]
fn json_is_written_as_javascript_writes_the_same_value() {
    let reversible = vectors("values").into_iter().filter(|vector| vector["reversible"] == true);
    for vector in reversible {
        let bytes = from_json(&vector["json"]).unwrap();
        assert_eq!(bytes, bytes_of(&vector), "{}", vector["name"]);
    }
}

#[test]
fn malformed_bytes_are_refused() {
    for vector in vectors("malformed") {
        let bytes = bytes_of(&vector);
        assert!(matches!(check(&bytes), Err(Error::Corrupt(_))), "{}", vector["name"]);
        assert!(matches!(to_json(&bytes), Err(Error::Corrupt(_))), "{}", vector["name"]);
    }
}

#[test]
fn a_value_cut_short_anywhere_is_refused() {
    for vector in vectors("values") {
        let bytes = bytes_of(&vector);
        for end in 0..bytes.len() {
            assert!(check(&bytes[..end]).is_err(), "{} cut at {end}", vector["name"]);
            assert!(to_json(&bytes[..end]).is_err(), "{} cut at {end}", vector["name"]);
        }
    }
}

#[test]
fn changed_bytes_yield_a_value_or_an_error_and_both_readers_agree() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    println!("seed {state:#x}");
    let all = vectors("values");
    for round in 0..20_000 {
        let mut bytes = bytes_of(&all[round % all.len()]);
        for _ in 0..=round % 3 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = state as usize % bytes.len();
            bytes[at] = (state >> 32) as u8;
        }
        let _ = (as_number(&bytes), kind(&bytes));
        assert_eq!(check(&bytes).is_ok(), to_json(&bytes).is_ok(), "{bytes:02x?}");
    }
}

#[test]
fn numbers_read_as_they_were_written() {
    let limits = [0.0, 127.0, 128.0, 255.0, 256.0, 65535.0, 65536.0, 4294967295.0, 4294967296.0];
    let others = [0.5, 1e300, 9007199254740991.0, f64::INFINITY, f64::MIN_POSITIVE];
    for positive in limits.into_iter().chain(others) {
        for number in [positive, -positive, -positive - 1.0] {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            assert_eq!(as_number(&bytes).unwrap().to_bits(), number.to_bits());
        }
    }
}

#[test]
fn what_is_not_a_number_in_javascript_is_not_one_here() {
    let bigint = [0xd3, 0, 0, 0, 0, 0, 0, 0, 1];
    let unsigned = [0xcf, 0, 0, 0, 0, 0, 0, 0, 1];
    for bytes in [&bigint[..], &unsigned, &[0xa1, 0x31], &[0xc0], &[0xc3], &[], &[1, 2]] {
        assert_eq!(as_number(bytes), None);
    }
    assert_eq!(as_number(&[0xca, 0x3f, 0xc0, 0, 0]), Some(1.5));
}

#[test]
fn kinds_are_named_for_messages() {
    let kind_of = |name: &str| {
        let vector = vectors("values").into_iter().find(|vector| vector["name"] == name);
        kind(&bytes_of(&vector.unwrap()))
    };
    assert_eq!(kind_of("null"), "null");
    assert_eq!(kind_of("true"), "a boolean");
    assert_eq!(kind_of("minus zero"), "a number");
    assert_eq!(kind_of("half an emoji"), "a string");
    assert_eq!(kind_of("object"), "an object");
    assert_eq!(kind_of("date"), "a date");
    assert_eq!(kind_of("map"), "a map");
    assert_eq!(kind_of("bigint"), "a bigint");
    assert_eq!(kind_of("bigint beyond 64 bits"), "a bigint");
    assert_eq!(kind_of("Float32Array"), "a typed array");
    assert_eq!(kind(&[]), "a damaged value");
}

#[test]
fn depth_is_accepted_at_the_limit_and_refused_past_it() {
    let nested = |levels| (0..levels).fold(json!(1), |value, _| json!([value]));
    let bytes = from_json(&nested(512)).unwrap();
    assert_eq!(to_json(&bytes).unwrap(), nested(512));
    assert!(matches!(from_json(&nested(513)), Err(Error::ValueTooDeep { limit: 512 })));
}

#[test]
fn a_bigint_too_long_for_decimal_becomes_hexadecimal() {
    let mut bytes = vec![0xc8, 0x10, 0x01, 3, 0x01];
    bytes.resize(5 + 0x1000, 0);
    let text = to_json(&bytes).unwrap();
    assert_eq!(text, json!(format!("0x1{}", "0".repeat(0x2000))));
}

#[test]
fn half_floats_become_numbers() {
    let bytes = [0xc7, 9, 5, 11, 0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0x00, 0x7c];
    assert_eq!(to_json(&bytes).unwrap(), json!([1, -2, 2f64.powi(-24), null]));
}
