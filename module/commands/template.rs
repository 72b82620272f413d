//! `--format`: a table, JSON, or the part of Go's templates that people write on command lines.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value};

use super::table;

/// How something is printed.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Shape {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// As asked for.
    Template(Template),
    /// A table of the columns that are asked for.
    Columns(Template),
}

/// Text with places for fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Field(Path),
    Json(Path),
    /// The parts for each entry.
    Range(Path, Vec<Part>),
    /// The parts if there is something.
    If(Path, Vec<Part>),
}

/// Names from the outside in; none is the whole.
type Path = Vec<String>;

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Shape, String> {
        match text {
            "" | "table" => Ok(Shape::Table),
            "json" => Ok(Shape::Json),
            text => match text.strip_prefix("table ") {
                Some(columns) => Template::parse(columns).map(Shape::Columns),
                None => Template::parse(text).map(Shape::Template),
            },
        }
    }
}

impl Shape {
    /// Whether fields are chosen: then they are as lists show them.
    pub fn is_template(&self) -> bool {
        matches!(self, Shape::Template(_) | Shape::Columns(_))
    }

    /// Prints things one a line; as a usual table they are for the caller to print.
    pub fn print(&self, things: impl Iterator<Item = Value>) -> anyhow::Result<()> {
        if let Shape::Columns(template) = self {
            let cells = |line: String| line.split('\t').map(str::to_owned).collect();
            let rows = things.map(|thing| Ok(cells(template.render(&thing)?)));
            let rows: Vec<Vec<String>> = rows.collect::<anyhow::Result<_>>()?;
            let heading = heading(&template.0);
            table::print_all(&heading.split('\t').collect::<Vec<_>>(), &rows);
            return Ok(());
        }
        for thing in things {
            match self {
                Shape::Template(template) => println!("{}", template.render(&thing)?),
                _ => println!("{thing}"),
            }
        }
        Ok(())
    }

    /// Prints what `inspect` found: all of it in one list unless something else is asked for.
    pub fn print_documents(&self, found: Vec<Value>) -> anyhow::Result<()> {
        match self {
            Shape::Table => println!("{}", serde_json::to_string_pretty(&found)?),
            other => other.print(found.into_iter())?,
        }
        Ok(())
    }
}

impl Template {
    fn parse(text: &str) -> Result<Template, String> {
        // As docker's lists take them.
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        let mut rest = text.as_str();
        let parts = parse(&mut rest, false)?;
        Ok(Template(parts))
    }

    /// The text for one thing.
    pub fn render(&self, thing: &Value) -> anyhow::Result<String> {
        let mut text = String::new();
        render(&self.0, thing, &mut text)?;
        Ok(text)
    }
}

/// What stands above the columns: the fields' names, with docker's words for some.
fn heading(parts: &[Part]) -> String {
    let of = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Field(path) | Part::Json(path) | Part::Range(path, _) | Part::If(path, _) => {
            let name = path.last().map_or("", String::as_str);
            match name {
                "RunningFor" | "CreatedSince" => "CREATED".to_owned(),
                "CPUPerc" => "CPU %".to_owned(),
                "MemPerc" => "MEM %".to_owned(),
                "MemUsage" => "MEM USAGE / LIMIT".to_owned(),
                "NetIO" => "NET I/O".to_owned(),
                "BlockIO" => "BLOCK I/O".to_owned(),
                "PIDs" => "PIDS".to_owned(),
                name => words(name).to_uppercase(),
            }
        }
    };
    parts.iter().map(of).collect()
}

/// `KernelVersion` as `Kernel Version`.
pub fn words(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && text.ends_with(char::is_lowercase) {
            text.push(' ');
        }
        text.push(letter);
    }
    text
}

/// Parts up to the end of the text, or of the block that they are in.
fn parse(rest: &mut &str, inside: bool) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    while let Some((text, after)) = rest.split_once("{{") {
        let (action, after) = after
            .split_once("}}")
            .ok_or("template: a \"{{\" has no \"}}\"")?;
        *rest = after;
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        let words: Vec<&str> = action.split_whitespace().collect();
        parts.push(match words[..] {
            ["end"] if inside => return Ok(parts),
            ["json", field] => Part::Json(path(field, action)?),
            ["range", field] => Part::Range(path(field, action)?, parse(rest, true)?),
            ["if", field] => Part::If(path(field, action)?, parse(rest, true)?),
            [field] => Part::Field(path(field, action)?),
            _ => return Err(unsupported(action)),
        });
    }
    if inside {
        return Err("template: a {{range}} or {{if}} has no {{end}}".into());
    }
    if !rest.is_empty() {
        parts.push(Part::Text((*rest).to_owned()));
    }
    Ok(parts)
}

fn path(field: &str, action: &str) -> Result<Path, String> {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let names = field.strip_prefix('.').ok_or_else(|| unsupported(action))?;
    let names: Path = match names {
        "" => Vec::new(),
        names => names.split('.').map(str::to_owned).collect(),
    };
    match names.iter().all(|name| is_name(name)) {
        true => Ok(names),
        false => Err(unsupported(action)),
    }
}

fn unsupported(action: &str) -> String {
    format!(
        "template {{{{{action}}}}} is not supported: {{{{.Field}}}}, {{{{json .Field}}}}, {{{{range .Field}}}}, \
         {{{{if .Field}}}} and {{{{end}}}} are; use json for more"
    )
}

fn render(parts: &[Part], thing: &Value, text: &mut String) -> anyhow::Result<()> {
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::Field(path) => text.push_str(&shown(find(path, thing)?)),
            Part::Json(path) => text.push_str(&find(path, thing)?.to_string()),
            Part::Range(path, parts) => match find(path, thing)? {
                Value::Array(all) => all.iter().try_for_each(|one| render(parts, one, text))?,
                Value::Object(all) => {
                    in_order(all).try_for_each(|(_, one)| render(parts, one, text))?;
                }
                _ => {}
            },
            Part::If(path, parts) if is_something(find(path, thing)?) => {
                render(parts, thing, text)?;
            }
            Part::If(..) => {}
        }
    }
    Ok(())
}

fn find<'a>(path: &Path, thing: &'a Value) -> anyhow::Result<&'a Value> {
    path.iter().try_fold(thing, |thing, name| {
        thing
            .get(name)
            .ok_or_else(|| anyhow::anyhow!("template: there is no field .{} here", path.join(".")))
    })
}

/// As Go prints it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".into(),
        Value::String(text) => text.clone(),
        Value::Array(all) => format!("[{}]", all.iter().map(shown).collect::<Vec<_>>().join(" ")),
        Value::Object(all) => {
            let pairs = in_order(all).map(|(key, one)| format!("{key}:{}", shown(one)));
            format!("map[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// A map as Go goes through it: by its keys, where ours keep the order in which they were written.
fn in_order(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let sorted: BTreeMap<&String, &Value> = map.iter().collect();
    sorted.into_iter()
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(switch) => *switch,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(all) => !all.is_empty(),
        Value::Object(all) => !all.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_print_as_gos_do() {
        let thing = json!({
            "Name": "web", "State": { "Running": true, "Pid": 7, "Error": "" }, "None": null,
            "Args": ["a", "b"], "Networks": { "n2": { "IP": "5.6.7.8" }, "n1": { "IP": "1.2.3.4" } },
        });
        for (template, text) in [
            ("{{.Name}}", "web"),
            ("{{ .Name }}\\t{{.State.Pid}}!", "web\t7!"),
            ("{{.State}}", "map[Error: Pid:7 Running:true]"),
            ("{{.Args}} {{.None}}", "[a b] <no value>"),
            ("{{json .Args}} {{json .Name}}", "[\"a\",\"b\"] \"web\""),
            ("{{range .Networks}}{{.IP}} {{end}}.", "1.2.3.4 5.6.7.8 ."),
            ("{{range .Args}}<{{.}}>{{end}}", "<a><b>"),
            (
                "{{if .State.Running}}up{{end}}{{if .State.Error}}bad{{end}}",
                "up",
            ),
            ("plain", "plain"),
        ] {
            let Ok(Shape::Template(parsed)) = template.parse() else {
                panic!("{template}");
            };
            assert_eq!(parsed.render(&thing).unwrap(), text, "{template}");
        }
        let Ok(Shape::Template(absent)) = "{{.State.Nothing}}".parse() else {
            panic!();
        };
        let error = absent.render(&thing).unwrap_err().to_string();
        assert_eq!(error, "template: there is no field .State.Nothing here");
    }

    #[test]
    fn what_is_not_there_is_refused_by_name() {
        for (template, said) in [
            ("{{index .Args 0}}", "{{index .Args 0}} is not supported"),
            ("{{.Name | upper}}", "is not supported"),
            ("{{Name}}", "is not supported"),
            ("{{.Name", "has no \"}}\""),
            ("{{range .Args}}", "has no {{end}}"),
            ("{{end}}", "{{end}} is not supported"),
        ] {
            let error = template.parse::<Shape>().unwrap_err();
            assert!(error.contains(said), "{template}: {error}");
        }
        assert_eq!("json".parse(), Ok(Shape::Json));
        assert_eq!("table".parse(), Ok(Shape::Table));
        let Ok(Shape::Columns(columns)) = "table {{.ID}}\\t{{.CreatedAt}}\\t{{.CPUPerc}}".parse()
        else {
            panic!();
        };
        assert_eq!(heading(&columns.0), "ID\tCREATED AT\tCPU %");
    }
}
