//! `--format`: a table, JSON, or one of Go's templates.

mod eval;
mod functions;
mod lex;
mod parse;
mod printf;
mod value;

use std::collections::BTreeSet;
use std::str::FromStr;

use serde_json::Value;

use super::table;
use eval::Scope;
use lex::{Piece, Token};
use parse::{Named, Node};

/// Fields of a list and what stands above them in a table, where that is not their name.
pub type Headings = [(&'static str, &'static str)];

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
    named: Named,
    /// The fields that are asked for, at any depth.
    fields: BTreeSet<String>,
    /// Whether it may print all that there is, as `{{json .}}` does.
    is_whole: bool,
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
    /// Whether this field will be seen, by its name or with all the others.
    pub fn shows(&self, field: &str) -> bool {
        match self {
            Shape::Template(template) | Shape::Columns(template) => {
                template.is_whole || template.fields.contains(field)
            }
            Shape::Json => true,
            Shape::Table => false,
        }
    }

    /// Whether a template asks for this field: for those that are looked up only then.
    pub fn names(&self, field: &str) -> bool {
        match self {
            Shape::Template(template) | Shape::Columns(template) => template.fields.contains(field),
            Shape::Table | Shape::Json => false,
        }
    }

    /// Prints the things of a list, one a line; as a usual table they are for the caller to print. `headings` are what stands
    /// above fields that are not just called so.
    pub fn print_list(
        &self,
        headings: &Headings,
        things: impl Iterator<Item = Value>,
    ) -> anyhow::Result<()> {
        if let Shape::Columns(template) = self {
            let cells = |line: String| line.split('\t').map(str::to_owned).collect();
            let rows = things.map(|thing| Ok(cells(template.render(&thing)?)));
            let rows: Vec<Vec<String>> = rows.collect::<anyhow::Result<_>>()?;
            let heading = template.heading(headings)?;
            table::print_all(&heading.split('\t').collect::<Vec<_>>(), &rows);
            return Ok(());
        }
        self.print(things)
    }

    /// Prints things that make no list, one a line: with docker the word `table` means nothing there.
    pub fn print(&self, things: impl Iterator<Item = Value>) -> anyhow::Result<()> {
        for thing in things {
            match self {
                Shape::Template(template) => println!("{}", template.render(&thing)?),
                Shape::Columns(template) => println!("table {}", template.render(&thing)?),
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
        let mut fields = BTreeSet::new();
        let mut is_whole = false;
        for piece in &pieces {
            if let Piece::Action(tokens) = piece {
                is_whole |= tokens.contains(&Token::Dot);
                fields.extend(tokens.iter().filter_map(|token| match token {
                    Token::Field(name, _) => Some(name.clone()),
                    _ => None,
                }));
            }
        }
        let (nodes, named) = parse::parse(pieces)?;
        Ok(Template {
            nodes,
            named,
            fields,
            is_whole,
        })
    }

    /// The text for one thing.
    fn render(&self, thing: &Value) -> anyhow::Result<String> {
        let mut text = String::new();
        Scope::new(thing, &self.named).render(&self.nodes, thing, &mut text)?;
        Ok(text)
    }

    /// What stands above the columns.
    fn heading(&self, headings: &Headings) -> anyhow::Result<String> {
        let mut text = String::new();
        Scope::of_heading(headings, &self.named).render(&self.nodes, &Value::Null, &mut text)?;
        Ok(text)
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
