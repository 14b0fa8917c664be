//! The variables of a group with their moments, and a step of all of them.

use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use crate::adamw_kernel::{Fused, Update};
use crate::joined::{join, kind, split};

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) weight_decay: f64,
    pub(crate) lr_scale: f64,
    pub(crate) slots: Vec<Slot>,
    pub(crate) joined: Option<Joined>,
}

/// Moments of several slots as one vector each, in the order of the slots.
#[derive(Debug)]
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
        // Slots that are one vector: of one type, device and step count.
        let mut alike: Vec<((_, u64), Vec<usize>)> = Vec::new();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(grad) = grads.get(slot.var.as_tensor()) else {
                continue;
            };
            slot.expect_shape(grad)?;
            if slot.fuse {
                slot.fused_step(grad, update(slot.step + 1))?;
                continue;
            }
            let key = (kind(slot.var.as_tensor()), slot.step);
            match alike.iter_mut().find(|(other, _)| *other == key) {
                Some((_, members)) => members.push(index),
                None => alike.push((key, vec![index])),
            }
        }
        for ((_, step), members) in alike {
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
        self.joined = Some(Joined {
            members,
            first: next_first,
            second: next_second,
        });
        Ok(())
    }

    /// The moments of these slots as one vector each: as the last step left them, if it was of the same slots.
    fn join(&mut self, members: &[usize]) -> candle_core::Result<Joined> {
        if let Some(joined) = self.joined.take_if(|joined| joined.members == members) {
            return Ok(joined);
        }
        // What was joined otherwise comes apart.
        let views = self.views()?;
        self.joined = None;
        for (slot, views) in self.slots.iter_mut().zip(views) {
            if let (Moments::Joined, Some((first, second))) = (&slot.moments, views) {
                slot.moments = Moments::Tensors { first, second };
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
        if let Some(joined) = &self.joined {
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
    fn expect_shape(&self, grad: &Tensor) -> candle_core::Result<()> {
        if grad.dims() != self.var.dims() {
            candle_core::bail!(
                "gradient of `{}` has shape {:?}, the variable {:?}",
                self.name,
                grad.dims(),
                self.var.dims()
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
