//! One record of comma-separated fields, by the strict rules of the reader that Docker's client uses.

/// The fields of the first line; a field in double quotes may hold commas, line breaks and doubled quotes.
pub(super) fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut rest = text.trim_start_matches(['\r', '\n']);
    if rest.is_empty() {
        return Err("EOF".to_owned());
    }
    let mut fields = Vec::new();
    loop {
        let (field, tail) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        match tail.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

fn plain_field(text: &str) -> Result<(String, &str), String> {
    let end = text.find([',', '\n']).unwrap_or(text.len());
    let (field, tail) = text.split_at(end);
    if field.contains('"') {
        return Err("bare \" in non-quoted field".to_owned());
    }
    Ok((field.strip_suffix('\r').unwrap_or(field).to_owned(), tail))
}

fn quoted_field(mut text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    loop {
        let wrong = || "extraneous or missing \" in quoted-field".to_owned();
        let (part, tail) = text.split_once('"').ok_or_else(wrong)?;
        field.push_str(part);
        match tail.chars().next() {
            Some('"') => {
                field.push('"');
                text = &tail[1..];
            }
            None | Some(',' | '\n') => return Ok((field, tail)),
            Some(_) => return Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_records() {
        for (text, expected) in [
            ("a,b", vec!["a", "b"]),
            ("a", vec!["a"]),
            (",", vec!["", ""]),
            ("a,\"b,c\",d", vec!["a", "b,c", "d"]),
            ("\"a\"\"b\"", vec!["a\"b"]),
            ("\"\",x", vec!["", "x"]),
            ("\na,b\nc", vec!["a", "b"]),
        ] {
            assert_eq!(fields(text).unwrap(), expected, "{text:?}");
        }
        for (text, error) in [
            ("", "EOF"),
            ("a\"b", "bare \" in non-quoted field"),
            ("\"a", "extraneous or missing \" in quoted-field"),
            ("\"a\"b", "extraneous or missing \" in quoted-field"),
        ] {
            assert_eq!(fields(text), Err(error.to_owned()), "{text:?}");
        }
    }
}
