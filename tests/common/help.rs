//! What a text of help has in it.

/// Long name of the option that a line of help begins with.
pub fn option(line: &str) -> Option<&str> {
    let text = line.trim_start();
    // What goes on below an option may begin with one too, further in.
    if line.len() - text.len() > 6 {
        return None;
    }
    let start = text.split("--").next()?;
    let is_start = start.is_empty() || (start.len() == 4 && start.starts_with('-'));
    let name = text.strip_prefix(start).filter(|_| is_start)?;
    let name = name.strip_prefix("--")?;
    name.split([' ', '=', '[']).next().filter(|n| !n.is_empty())
}

/// The words in the list of commands of `--help`.
pub fn words(help: &str) -> Vec<&str> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    list.filter_map(|line| line.split_whitespace().next())
        .collect()
}
