use super::{Conv2d, Linear};
use burn::nn::Dropout;

/// A layer that an adapter can sit on.
#[derive(Debug)]
pub enum LayerMut<'a> {
    /// A linear layer.
    Linear(&'a mut Linear),
    /// A convolution.
    Conv2d(&'a mut Conv2d),
}

/// Shows the layers of a module, each with its name in PyTorch, such as
/// `down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q`.
///
/// burn's own traversal sees parameters only; an adapter needs the layer around them.
pub trait Adaptable {
    /// Calls `visitor` for every layer of this module, which is called `name` itself.
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>));
}

/// Whether an adapter sits on a layer of `module`.
#[cfg(feature = "autodiff")]
pub(crate) fn is_adapted<M: Adaptable + Clone>(module: &M) -> bool {
    let mut found = false;
    // A copy shares all values; only looking at layers needs no change of them.
    module.clone().visit_layers("", &mut |_, layer| {
        found |= match layer {
            LayerMut::Linear(layer) => layer.is_adapted(),
            LayerMut::Conv2d(layer) => layer.is_adapted(),
        };
    });
    found
}

impl Adaptable for Linear {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        visitor(name, LayerMut::Linear(self));
    }
}

impl Adaptable for Conv2d {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        visitor(name, LayerMut::Conv2d(self));
    }
}

impl Adaptable for Dropout {
    fn visit_layers(&mut self, _name: &str, _visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {}
}

impl<T: Adaptable> Adaptable for Option<T> {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        if let Some(module) = self {
            module.visit_layers(name, visitor);
        }
    }
}

impl<T: Adaptable> Adaptable for Vec<T> {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        for (index, module) in self.iter_mut().enumerate() {
            module.visit_layers(&child(name, &index.to_string()), visitor);
        }
    }
}

impl<A: Adaptable, B: Adaptable> Adaptable for (A, B) {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        self.0.visit_layers(&child(name, "0"), visitor);
        self.1.visit_layers(&child(name, "1"), visitor);
    }
}

impl<A: Adaptable, B: Adaptable, C: Adaptable> Adaptable for (A, B, C) {
    fn visit_layers(&mut self, name: &str, visitor: &mut dyn FnMut(&str, LayerMut<'_>)) {
        self.0.visit_layers(&child(name, "0"), visitor);
        self.1.visit_layers(&child(name, "1"), visitor);
        self.2.visit_layers(&child(name, "2"), visitor);
    }
}

/// The name of a part of the module `name`.
pub(crate) fn child(name: &str, part: &str) -> String {
    if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") }
}

/// `adaptable!(Type { field, field })`: the layers of a struct are those of these fields.
macro_rules! adaptable {
    ($module:ty { $($field:ident),* $(,)? }) => {
        impl $crate::models::layers::Adaptable for $module {
            fn visit_layers(
                &mut self,
                name: &str,
                visitor: &mut dyn FnMut(&str, $crate::models::layers::LayerMut<'_>),
            ) {
                $(self.$field.visit_layers(&$crate::models::layers::child(name, stringify!($field)), visitor);)*
            }
        }
    };
}
pub(crate) use adaptable;
