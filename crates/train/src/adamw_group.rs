//! The variables of a group with their moments, and a step of all of them.

use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use crate::adamw_kernel::{Fused, Update};
use crate::joined::{alike, join, split};

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) weight_decay: f64,
    pub(crate) lr_scale: f64,
    pub(crate) slots: Vec<Slot>,
    pub(crate) joined: Vec<Joined>,
}

/// Moments of several slots as one vector each, in the order of the slots.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    members: Vec<usize>,
    first: Tensor,
    second: Tensor,
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) var: Var,
    pub(crate) step: u64,
    pub(crate) fuse: bool,
    pub(crate) moments: Moments,
}

#[derive(Debug)]
pub(crate) enum Moments {
    /// Before the first gradient: frozen variables cost no memory.
    Untouched,
    /// CPU f32: plain slices, so that one pass updates everything in place.
    Host {
        first: Vec<f32>,
        second: Vec<f32>,
    },
    Tensors {
        first: Tensor,
        second: Tensor,
    },
    /// A part of the group's [`Joined`].
    Joined,
}

impl Group {
    /// A step of the slots that have a gradient, by the update of their step count.
    pub(crate) fn step(
        &mut self,
        grads: &GradStore,
        update: impl Fn(u64) -> Update,
    ) -> candle_core::Result<()> {
        let mut elsewhere = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(grad) = grads.get(slot.var.as_tensor()) else {
                continue;
            };
            slot.expect_fit(grad)?;
            match slot.fuse {
                true => slot.fused_step(grad, update(slot.step + 1))?,
                false => elsewhere.push(index),
            }
        }
        // Those of one step count go together.
        let slots = elsewhere.into_iter().map(|index| {
            let slot = &self.slots[index];
            (index, slot.var.as_tensor(), slot.step)
        });
        for (step, members) in alike(slots) {
            self.joined_step(grads, members, update(step + 1))?;
        }
        Ok(())
    }

    fn joined_step(
        &mut self,
        grads: &GradStore,
        members: Vec<usize>,
        update: Update,
    ) -> candle_core::Result<()> {
        let Joined { first, second, .. } = self.join(&members)?;
        let slots = || members.iter().map(|&index| &self.slots[index]);
        let values = join(slots().map(|slot| slot.var.as_tensor()))?;
        let grad = join(slots().filter_map(|slot| grads.get(slot.var.as_tensor())))?;
        let grad = (grad * update.grad_scale)?;
        let next_first = (&first + ((&grad - &first)? * update.rate1)?)?;
        let next_second = ((second * update.beta2)? + (grad.sqr()? * (1.0 - update.beta2))?)?;
        let root = ((next_second.sqrt()? / update.root_correction)? + update.eps)?;
        let decayed = (values * update.keep)?;
        let next = (decayed - ((&next_first * update.step_size)? / root)?)?;
        let next = split(&next, slots().map(|slot| slot.var.shape()))?;
        for (&index, next) in members.iter().zip(next) {
            let slot = &mut self.slots[index];
            slot.var.set(&next)?;
            slot.step += 1;
            slot.moments = Moments::Joined;
        }
        self.joined.retain(|joined| joined.members != members);
        self.joined.push(Joined {
            members,
            first: next_first,
            second: next_second,
        });
        Ok(())
    }

    /// The moments of these slots as one vector each: as the last step left them, if it was of the same slots.
    fn join(&mut self, members: &[usize]) -> candle_core::Result<Joined> {
        if let Some(joined) = self.joined.iter().find(|joined| joined.members == members) {
            return Ok(joined.clone());
        }
        // What was joined otherwise comes apart.
        let views = self.views()?;
        let (apart, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.joined)
            .into_iter()
            .partition(|joined| joined.members.iter().any(|index| members.contains(index)));
        self.joined = rest;
        for index in apart.into_iter().flat_map(|joined| joined.members) {
            if let Some((first, second)) = views[index].clone() {
                self.slots[index].moments = Moments::Tensors { first, second };
            }
        }
        let mut moments = Vec::with_capacity(members.len());
        for &index in members {
            let slot = &self.slots[index];
            moments.push(match slot.tensors() {
                Some(tensors) => tensors,
                None => {
                    let zeros = slot.var.as_detached_tensor().zeros_like()?;
                    (zeros.clone(), zeros)
                }
            });
        }
        Ok(Joined {
            members: members.to_vec(),
            first: join(moments.iter().map(|(first, _)| first))?,
            second: join(moments.iter().map(|(_, second)| second))?,
        })
    }

    /// The moments of each slot that are tensors.
    pub(crate) fn views(&self) -> candle_core::Result<Vec<Option<(Tensor, Tensor)>>> {
        let mut views: Vec<_> = self.slots.iter().map(Slot::tensors).collect();
        for joined in &self.joined {
            let shapes = || {
                joined
                    .members
                    .iter()
                    .map(|&index| self.slots[index].var.shape())
            };
            let (first, second) = (
                split(&joined.first, shapes())?,
                split(&joined.second, shapes())?,
            );
            for (&index, moments) in joined.members.iter().zip(first.into_iter().zip(second)) {
                views[index] = Some(moments);
            }
        }
        Ok(views)
    }
}

impl Slot {
    fn expect_fit(&self, grad: &Tensor) -> candle_core::Result<()> {
        let of = |tensor: &Tensor| (tensor.shape().clone(), tensor.dtype());
        let (found, expected) = (of(grad), of(self.var.as_tensor()));
        if found != expected {
            candle_core::bail!(
                "the gradient of `{}` is {:?} {:?}, the variable {:?} {:?}",
                self.name,
                found.1,
                found.0,
                expected.1,
                expected.0
            );
        }
        Ok(())
    }

    /// Its moments, if they are tensors of its own.
    fn tensors(&self) -> Option<(Tensor, Tensor)> {
        match &self.moments {
            Moments::Tensors { first, second } => Some((first.clone(), second.clone())),
            _ => None,
        }
    }

    fn fused_step(&mut self, grad: &Tensor, update: Update) -> candle_core::Result<()> {
        if !matches!(self.moments, Moments::Host { .. }) {
            self.moments = Moments::Host {
                first: vec![0.0; self.var.elem_count()],
                second: vec![0.0; self.var.elem_count()],
            };
        }
        if let Moments::Host { first, second } = &mut self.moments {
            let fused = Fused {
                moments: Mutex::new((first, second)),
                update,
            };
            self.var.inplace_op2(&grad.contiguous()?, &fused)?;
        }
        self.step += 1;
        Ok(())
    }
}
