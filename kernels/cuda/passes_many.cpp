// CudaProgram: Jacobians and tangents. The forward pass once, attention linearised once, then chunks of
// gradients or tangents, each through all nodes; products take all rows of a chunk as one matrix. All of it
// is one graph.
#include <algorithm>

#include "kernels/cuda/body.hpp"

namespace emisopt::kernels::cuda {

std::size_t CudaProgram::many_inputs() const {
  return plan_.directions.size() * at(rows(kFuture)) * at(plan_.width(plan_.ops.future));
}

std::size_t CudaProgram::many_outputs() const {
  const std::size_t steps = at(rows(kFuture));
  return plan_.mode == Mode::jacobian
             ? options_.seeds.size() * steps * steps * at(plan_.width(plan_.ops.future))
             : plan_.directions.size() * steps * at(plan_.width(plan_.ops.quantiles));
}

void CudaProgram::lay_out_many() {
  indices_ = device_.take<int>(many_.indices.size());
  many_slots_.clear();
  for (const std::size_t scalars : many_.slot_size) many_slots_.push_back(device_.take<float>(scalars));
  spread_ = device_.take<float>(many_.spread);
  maps_.assign(plan_.nodes.size(), nullptr);
  own_p_.assign(plan_.nodes.size(), nullptr);
  for (const Node& node : plan_.nodes) {
    const Op& o = op(node);
    if (o.kind != OpKind::attention || !node.backward) continue;
    const std::size_t rows_of_heads = at(o.heads) * at(rows(kFuture));
    maps_[index_of(node)] = device_.take<float>(rows_of_heads * at(o.head_dim) * at(o.head_dim));
    own_p_[index_of(node)] = device_.take<float>(rows_of_heads * at(rows(kFuture)));
  }
}

void CudaProgram::fill_many() {
  if (many_.indices.empty()) return;
  expect(
      cudaMemcpy(indices_, many_.indices.data(), many_.indices.size() * sizeof(int), cudaMemcpyHostToDevice),
      "compile for CUDA");
}

// What no chunk writes, beyond a gradient's step and before a tangent's, is 0 since the memory was made.
void CudaProgram::run_many() {
  const OpList& ops = plan_.ops;
  const int out = plan_.width(ops.quantiles), in = plan_.width(ops.future);
  const bool jacobian = plan_.mode == Mode::jacobian;
  const bool reached = jacobian ? !plan_.reverse.empty() : plan_.state(kFuture, ops.quantiles).gradient;
  for (const Node& node : plan_.nodes)
    if (reached && op(node).kind == OpKind::attention && node.backward)
      attention_maps(maps_[index_of(node)], own_p_[index_of(node)], value(kFuture, op(node).y).data,
                     saved_[index_of(node)], attention<float>(node), !jacobian, stream_);
  for (const ManyChunk& chunk : many_.chunks) {
    if (!reached) break;
    if (jacobian) {
      seed_rows(many_value(ops.quantiles), indices(chunk.hot), chunk.windows, out, stream_);
      for (const int n : plan_.reverse) backward_many(plan_.nodes[at(n)], chunk);
      const bool single = plan_.state(kFuture, ops.future).single;  // no attention between
      put_rows(device_buffers_.jacobian, many_value(ops.future),
               indices(single ? chunk.single_target : chunk.target), single ? chunk.windows : chunk.rows, in,
               false, stream_);
    } else {
      take_rows(many_value(ops.future), device_buffers_.direction, indices(chunk.source), chunk.rows, in,
                stream_);
      for (const Node& node : plan_.nodes)
        if (node.backward) tangent_many(node, chunk);
      put_rows(device_buffers_.tangent, many_value(ops.quantiles), indices(chunk.target), chunk.rows, out,
               false, stream_);
    }
  }
  to_host(jacobian ? &Buffers::jacobian : &Buffers::tangent, many_outputs());
}

void CudaProgram::backward_many(const Node& node, const ManyChunk& chunk) {
  const Op& o = op(node);
  const int x_width = plan_.width(o.x), y_width = plan_.width(o.y);
  const float *x = value(kFuture, o.x).data, *dy = many_value(o.y);
  const bool single = plan_.state(kFuture, o.y).single;
  const auto count = [&](int id) { return plan_.state(kFuture, id).single ? chunk.windows : chunk.rows; };
  const auto input = [&](const Flow& flow, int id) -> float* {
    if (!flow.wanted) return nullptr;
    if (flow.zero) zero(many_value(id), at(count(id)) * at(plan_.width(id)));
    return many_value(id);
  };
  if (o.kind == OpKind::add) {
    for (const auto& [flow, id] : {std::pair{node.x, o.x}, std::pair{node.x2, o.x2}}) {
      float* to = input(flow, id);
      if (!to) continue;
      if (count(id) != count(o.y))
        put_rows(to, dy, indices(chunk.end), chunk.windows, x_width, true, stream_);
      else if (flow.assign)
        expect(cudaMemcpyAsync(to, dy, at(count(id)) * at(x_width) * sizeof(float), cudaMemcpyDeviceToDevice,
                               stream_),
               "Program.run");
      else
        add<float>({to, 0}, {dy, 0}, {}, {1, count(id)}, x_width, stream_);
    }
    return;
  }
  float* const dx = input(node.x, o.x);
  if (!dx) return;
  if (o.kind == OpKind::attention) {
    const Attention<float> a = attention<float>(node);
    const Linearised here{maps_[index_of(node)], own_p_[index_of(node)], value(kFuture, o.y).data};
    const RowsByStep list =
        single ? RowsByStep{indices(chunk.single_begin), indices(chunk.single_from), indices(chunk.single_to),
                            chunk.single_longest}
               : RowsByStep{indices(chunk.begin), indices(chunk.list), indices(chunk.list), chunk.longest};
    map_rows(dx, x_width, dy, y_width, here.maps, list, a.rows, o.heads, o.head_dim, true, stream_);
    pairs_backward(dx, dy, single, here, a, {indices(chunk.offset), indices(chunk.last), chunk.windows},
                   stream_);
    return;
  }
  // Single rows that meet packed ones take a buffer of their own first.
  const bool spreads = count(o.x) != count(o.y);
  const bool accumulate = !spreads && !node.x.assign;
  float* const to = spreads ? spread_ : dx;
  const PackedRows packed{indices(single ? chunk.last : chunk.step), count(o.y)};
  switch (o.kind) {
    case OpKind::linear:
      product({to, 0}, {dy, 0}, matrix(o), true, nullptr, {1, packed.count}, x_width, y_width, accumulate);
      break;
    case OpKind::rmsnorm:
      rmsnorm_many(to, dy, x, saved_[index_of(node)], parameter(o.w), packed, x_width, false, accumulate,
                   stream_);
      break;
    case OpKind::rope: {
      const long first = static_cast<long>(rows(kHistory)) * (o.head_dim / 2);
      rope_many(to, dy, cosine_[at(node.op)] + first, sine_[at(node.op)] + first, packed, x_width, o.heads,
                o.head_dim, true, accumulate, stream_);
      break;
    }
    case OpKind::swiglu:
      swiglu_backward_many(to, dy, x, packed, y_width, accumulate, stream_);
      break;
    case OpKind::quantiles:
      quantiles_backward_many(to, dy, x, packed, o.outputs, o.levels, o.middle, accumulate, stream_);
      break;
    case OpKind::add:
    case OpKind::attention:
      break;  // above
  }
  if (spreads) put_rows(dx, spread_, indices(chunk.end), chunk.windows, x_width, true, stream_);
}

void CudaProgram::tangent_many(const Node& node, const ManyChunk& chunk) {
  const Op& o = op(node);
  const int x_width = plan_.width(o.x), y_width = plan_.width(o.y);
  const float *x = value(kFuture, o.x).data, *dx = many_value(o.x);
  float* dy = many_value(o.y);
  const PackedRows packed{indices(chunk.step), chunk.rows};
  switch (o.kind) {
    case OpKind::linear:
      product({dy, 0}, {dx, 0}, matrix(o), false, nullptr, {1, chunk.rows}, y_width, x_width, false);
      break;
    case OpKind::rmsnorm:
      rmsnorm_many(dy, dx, x, saved_[index_of(node)], parameter(o.w), packed, x_width, true, false, stream_);
      break;
    case OpKind::rope: {
      const long first = static_cast<long>(rows(kHistory)) * (o.head_dim / 2);
      rope_many(dy, dx, cosine_[at(node.op)] + first, sine_[at(node.op)] + first, packed, x_width, o.heads,
                o.head_dim, false, false, stream_);
      break;
    }
    case OpKind::swiglu:
      swiglu_tangent_many(dy, dx, x, packed, y_width, stream_);
      break;
    case OpKind::add: {
      const float* other = many_value(o.x2);  // null: does not move
      if (dx && other)
        add<float>({dy, 0}, {dx, 0}, {other, 0}, {1, chunk.rows}, x_width, stream_);
      else
        expect(cudaMemcpyAsync(dy, dx ? dx : other, at(chunk.rows) * at(x_width) * sizeof(float),
                               cudaMemcpyDeviceToDevice, stream_),
               "Program.run");
      break;
    }
    case OpKind::quantiles:
      quantiles_tangent_many(dy, dx, x, packed, o.outputs, o.levels, o.middle, stream_);
      break;
    case OpKind::attention: {
      const Attention<float> a = attention<float>(node);
      const Linearised here{maps_[index_of(node)], own_p_[index_of(node)], value(kFuture, o.y).data};
      const RowsByStep list{indices(chunk.begin), indices(chunk.list), indices(chunk.list), chunk.longest};
      map_rows(dy, y_width, dx, x_width, here.maps, list, a.rows, o.heads, o.head_dim, false, stream_);
      pairs_tangent(dy, dx, here, a, {indices(chunk.offset), indices(chunk.last), chunk.windows}, stream_);
      break;
    }
  }
}

}  // namespace emisopt::kernels::cuda
