//! `--format`: a table, JSON, or one of Go's templates.

mod eval;
mod functions;
mod lex;
mod parse;
mod printf;
mod value;

use std::str::FromStr;

use serde_json::Value;

use super::table;
use eval::Scope;
use lex::{Piece, Token};
use parse::Node;

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
pub struct Template {
    nodes: Vec<Node>,
    /// Whether single labels are asked for.
    names_labels: bool,
}

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

    /// Whether single labels are asked for, as `.Label "name"`; they are then looked up in the field `Label`.
    pub fn names_labels(&self) -> bool {
        match self {
            Shape::Template(template) | Shape::Columns(template) => template.names_labels,
            Shape::Table | Shape::Json => false,
        }
    }

    /// Prints things one a line; as a usual table they are for the caller to print.
    pub fn print(&self, things: impl Iterator<Item = Value>) -> anyhow::Result<()> {
        if let Shape::Columns(template) = self {
            let cells = |line: String| line.split('\t').map(str::to_owned).collect();
            let rows = things.map(|thing| Ok(cells(template.render(&thing)?)));
            let rows: Vec<Vec<String>> = rows.collect::<anyhow::Result<_>>()?;
            let heading = template.heading()?;
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
            Shape::Json => println!("{}", Value::from(found)),
            other => other.print(found.into_iter())?,
        }
        Ok(())
    }
}

impl Template {
    fn parse(text: &str) -> Result<Template, String> {
        let pieces = lex::pieces(text)?;
        let is_label = |token: &Token| matches!(token, Token::Field(name, _) if name == "Label");
        let names_labels = pieces.iter().any(|piece| match piece {
            Piece::Action(tokens) => tokens.iter().any(is_label),
            Piece::Text(_) => false,
        });
        let nodes = parse::parse(pieces)?;
        Ok(Template {
            nodes,
            names_labels,
        })
    }

    /// The text for one thing.
    fn render(&self, thing: &Value) -> anyhow::Result<String> {
        let mut text = String::new();
        Scope::new(thing).render(&self.nodes, thing, &mut text)?;
        Ok(text)
    }

    /// What stands above the columns.
    fn heading(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        Scope::of_heading().render(&self.nodes, &Value::Null, &mut text)?;
        Ok(text)
    }
}

/// What stands above a field: its name, with docker's words for some.
fn heading(name: &str) -> String {
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

#[cfg(test)]
mod tests;
