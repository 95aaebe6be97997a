//! From positions in a burn module to PyTorch's names and layouts.

/// Where a traversal of a module stands: the names entered, each with the kind of its container.
#[derive(Debug, Default)]
pub(super) struct ModulePath(Vec<(String, String)>);

/// How a parameter is called and laid out in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileParameter {
    /// PyTorch's name.
    pub name: String,
    /// Whether the two axes are swapped in the file.
    pub transposed: bool,
}

impl ModulePath {
    /// Follows `ModuleVisitor::enter_module`.
    pub fn enter(&mut self, name: &str, container: &str) {
        self.0.push((name.to_owned(), container.to_owned()));
    }

    /// Follows `ModuleVisitor::exit_module`.
    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// The parameter at the current position.
    pub fn parameter(&self) -> FileParameter {
        let container = self.0.last().map_or("", |(_, container)| container.as_str());
        let is_norm = matches!(container, "Struct:GroupNorm" | "Struct:LayerNorm" | "Struct:RmsNorm");
        let mut names: Vec<&str> = self
            .0
            .iter()
            .filter(|(_, container)| !container.starts_with("Enum:"))
            .map(|(name, _)| name.as_str())
            .collect();
        if let Some(last) = names.last_mut() {
            *last = match *last {
                "gamma" if is_norm => "weight",
                "beta" if is_norm => "bias",
                other => other,
            };
        }
        let transposed = container == "Struct:Linear" && names.last() == Some(&"weight");
        FileParameter { name: names.join("."), transposed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(entered: &[(&str, &str)]) -> FileParameter {
        let mut path = ModulePath::default();
        for (name, container) in entered {
            path.enter(name, container);
        }
        path.parameter()
    }

    #[test]
    fn linear_weights_are_transposed_and_their_biases_are_not() {
        let weight =
            parameter(&[("to_out", "Struct:Attention"), ("0", "Tuple"), ("weight", "Struct:Linear")]);
        assert_eq!(weight, FileParameter { name: "to_out.0.weight".to_owned(), transposed: true });
        let bias = parameter(&[("to_out", "Struct:Attention"), ("0", "Tuple"), ("bias", "Struct:Linear")]);
        assert_eq!(bias, FileParameter { name: "to_out.0.bias".to_owned(), transposed: false });
    }

    #[test]
    fn norms_have_weight_and_bias() {
        let gamma = parameter(&[("norm", "Struct:Transformer2DModel"), ("gamma", "Struct:GroupNorm")]);
        assert_eq!(gamma, FileParameter { name: "norm.weight".to_owned(), transposed: false });
    }

    #[test]
    fn enum_variants_leave_no_trace() {
        let conv = parameter(&[("0", "Vec"), ("Conv", "Enum:Layer"), ("weight", "Struct:Conv2d")]);
        assert_eq!(conv, FileParameter { name: "0.weight".to_owned(), transposed: false });
    }
}
