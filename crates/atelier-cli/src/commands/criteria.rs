//! `atelier criteria`: the tree, for people and for scripts.

use super::{TreeArguments, number};
use crate::{
    failure::{Failure, Usage},
    output::{OutputError, print_line},
};
use anstyle::{AnsiColor, Style};
use atelier_criteria::{CriteriaTree, Leaf, Node};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// Subcommands of `atelier criteria`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Count dimensions, levels and pairs
    Stats(Common),
    /// Draw the tree, or one branch of it
    Show {
        /// Id of a dimension, an inner node or a leaf, such as `color-relations.harmony`
        node: Option<String>,
        /// Levels to draw
        #[arg(long, value_name = "LEVELS", value_parser = number::<usize>(1..=100))]
        depth: Option<usize>,
        #[command(flatten)]
        common: Common,
    },
    /// Find leaves whose id, name, phrases or explanations have all the words
    Search {
        /// Words to look for
        #[arg(required = true)]
        words: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Check a tree and list everything that is wrong with it
    Lint(Common),
}

/// What all subcommands take.
#[derive(Debug, Args)]
pub struct Common {
    #[command(flatten)]
    tree: TreeArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const NAME: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const POSITIVE: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const NEGATIVE: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));

/// Colours of the dimensions, in their order.
const DIMENSIONS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::Green,
    AnsiColor::Red,
];

/// Runs the command.
pub fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Stats(common) => stats(&common),
        Command::Show { node, depth, common } => show(node.as_deref(), depth.unwrap_or(usize::MAX), &common),
        Command::Search { words, common } => search(&words.join(" "), &common),
        Command::Lint(common) => lint(&common),
    }
}

fn stats(common: &Common) -> Result<(), Failure> {
    let stats = common.tree.load()?.stats();
    if common.json {
        print_line!("{}", serde_json::to_string(&stats)?)?;
        return Ok(());
    }
    print_line!("{NAME}{} dimensions, {} pairs, {} levels{NAME:#}", stats.roots, stats.pairs, stats.depth)?;
    for dimension in &stats.dimensions {
        print_line!("{:>5} pairs  {:>4} nodes  {}", dimension.pairs, dimension.nodes, dimension.name)?;
    }
    Ok(())
}

fn show(node: Option<&str>, depth: usize, common: &Common) -> Result<(), Failure> {
    let tree = common.tree.load()?;
    let roots: Vec<Node<'_>> = match node {
        Some(id) => vec![tree.require_node(id)?],
        None => tree.roots().collect(),
    };
    if common.json {
        let values: Vec<Value> = roots.into_iter().map(|root| node_json(root, depth)).collect();
        print_line!("{}", serde_json::to_string_pretty(&values)?)?;
        return Ok(());
    }
    for root in roots {
        let colour = tree
            .dimensions()
            .iter()
            .position(|dimension| root.id().split('.').next() == Some(&dimension.id))
            .map_or(AnsiColor::White, |index| DIMENSIONS[index % DIMENSIONS.len()]);
        let style = Style::new().fg_color(Some(colour.into())).bold();
        print_line!("{style}{}{style:#} {QUIET}{}{QUIET:#}", root.name(), root.id())?;
        if let Some(leaf) = root.leaf() {
            print_explanations(leaf)?;
        }
        draw(root, "", depth.saturating_sub(1), style)?;
    }
    Ok(())
}

/// Draws the children of `node` with the lines of a tree.
fn draw(node: Node<'_>, indent: &str, depth: usize, style: Style) -> Result<(), OutputError> {
    if depth == 0 {
        return Ok(());
    }
    let children: Vec<Node<'_>> = node.children().collect();
    for (index, child) in children.iter().enumerate() {
        let last = index + 1 == children.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        match child.leaf() {
            Some(leaf) => print_line!(
                "{style}{indent}{branch}{style:#}{}: {POSITIVE}+ {}{POSITIVE:#}  {NEGATIVE}- {}{NEGATIVE:#}",
                child.name(),
                leaf.positive.phrase,
                leaf.negative.phrase
            ),
            None => print_line!(
                "{style}{indent}{branch}{style:#}{NAME}{}{NAME:#} {QUIET}{}{QUIET:#}",
                child.name(),
                child.leaves().len()
            ),
        }?;
        draw(*child, &format!("{indent}{below}"), depth - 1, style)?;
    }
    Ok(())
}

fn print_explanations(leaf: &Leaf) -> Result<(), OutputError> {
    for (style, sign, attribute) in [(POSITIVE, '+', &leaf.positive), (NEGATIVE, '-', &leaf.negative)] {
        print_line!("  {style}{sign} {}{style:#}: {}", attribute.phrase, attribute.explanation)?;
    }
    if !leaf.genres.is_empty() {
        print_line!("  {QUIET}applies to {}{QUIET:#}", leaf.genres.join(", "))?;
    }
    Ok(())
}

fn search(query: &str, common: &Common) -> Result<(), Failure> {
    let tree = common.tree.load()?;
    let found = tree.search(query);
    if common.json {
        print_line!(
            "{}",
            serde_json::to_string_pretty(&found.into_iter().map(leaf_json).collect::<Vec<_>>())?
        )?;
        return Ok(());
    }
    if found.is_empty() {
        print_line!("no leaf has all of these words: {query}")?;
    }
    for leaf in found {
        print_line!("{NAME}{}{NAME:#} {QUIET}{}{QUIET:#}", leaf.name, leaf.id)?;
        print_explanations(leaf)?;
    }
    Ok(())
}

fn lint(common: &Common) -> Result<(), Failure> {
    let problems = match &common.tree.criteria {
        Some(folder) => CriteriaTree::lint_dir(folder),
        None => CriteriaTree::embedded_problems(),
    };
    if common.json {
        print_line!(
            "{}",
            json!({ "problems": problems.iter().map(ToString::to_string).collect::<Vec<_>>() })
        )?;
    } else {
        for problem in &problems {
            print_line!("{NEGATIVE}✗{NEGATIVE:#} {problem}")?;
        }
    }
    if problems.is_empty() {
        if !common.json {
            print_line!("{POSITIVE}✓{POSITIVE:#} the tree is sound")?;
        }
        return Ok(());
    }
    Err(Usage(format!("the tree has {} problems", problems.len())).into())
}

fn node_json(node: Node<'_>, depth: usize) -> Value {
    if let Some(leaf) = node.leaf() {
        return leaf_json(leaf);
    }
    let children: Vec<Value> = if depth > 1 {
        node.children().map(|child| node_json(child, depth - 1)).collect()
    } else {
        Vec::new()
    };
    json!({ "id": node.id(), "name": node.name(), "pairs": node.leaves().len(), "children": children })
}

fn leaf_json(leaf: &Leaf) -> Value {
    json!({
        "id": leaf.id,
        "name": leaf.name,
        "positive": leaf.positive,
        "negative": leaf.negative,
        "genres": leaf.genres,
        "changed_by_crop": leaf.changed_by_crop,
        "changed_by_flip": leaf.changed_by_flip,
    })
}
