#include "shadow.h"

#include <algorithm>

namespace ptx {

void SharedShadow::open(std::size_t bytes, std::uint32_t granule) {
  granule_ = granule;
  cells_.assign((bytes + granule - 1) / granule, Cell{});
}

void SharedShadow::begin_block() {
  std::fill(cells_.begin(), cells_.end(), Cell{});
  epoch_ = 1;
}

SharedShadow::Cell& SharedShadow::now(Cell& cell) const {
  if (cell.epoch != epoch_) {
    const bool written = cell.written;
    cell = Cell{};
    cell.written = written;
    cell.epoch = epoch_;
  }
  return cell;
}

std::optional<Conflict> SharedShadow::read(std::size_t at, std::size_t bytes, const Touch& touch) {
  const auto thread = static_cast<std::uint16_t>(touch.thread + 1);
  const std::size_t end = (at + bytes - 1) / granule_;
  for (std::size_t index = at / granule_; index <= end; ++index) {
    Cell& cell = now(cells_[index]);
    if (!cell.written)
      return Conflict{"shared memory is read that no thread of the block wrote", false, {}, 0};
    if (cell.writer != 0 && (cell.writer != thread || cell.many)) {
      return Conflict{"a race: shared memory is read that another thread writes without a barrier between",
                      true,
                      {cell.writer - 1U, cell.write_code},
                      0};
    }
    const std::size_t place = cell.reader[0] == 0 || cell.reader[0] == thread ? 0 : 1;
    cell.reader[place] = thread;
    cell.read_code[place] = touch.code;
  }
  return std::nullopt;
}

std::optional<Conflict> SharedShadow::write(std::size_t at, std::size_t bytes, const Touch& touch) {
  const auto thread = static_cast<std::uint16_t>(touch.thread + 1);
  const std::size_t end = (at + bytes - 1) / granule_;
  for (std::size_t index = at / granule_; index <= end; ++index) {
    Cell& cell = now(cells_[index]);
    if (touch.atomic && !cell.written) {
      return Conflict{"shared memory is read that no thread of the block wrote", false, {}, 0};
    }
    if (cell.writer != 0 && (cell.writer != thread || cell.many) && !(cell.atomic && touch.atomic)) {
      return Conflict{"a race: two threads write the same shared memory without a barrier between",
                      true,
                      {cell.writer - 1U, cell.write_code},
                      0};
    }
    for (std::size_t place = 0; place < 2; ++place) {
      if (cell.reader[place] == 0 || cell.reader[place] == thread) continue;
      return Conflict{"a race: shared memory is written that another thread reads without a barrier between",
                      true,
                      {cell.reader[place] - 1U, cell.read_code[place]},
                      0};
    }
    // A thread's plain write stays one for the others, whatever it does after.
    cell.atomic = touch.atomic && (cell.writer == 0 || cell.atomic);
    cell.many = cell.many || (cell.writer != 0 && cell.writer != thread);
    cell.writer = thread;
    cell.write_code = touch.code;
    cell.written = true;
  }
  return std::nullopt;
}

GlobalShadow::Page& GlobalShadow::page_of(std::uint64_t device) {
  const std::uint64_t key = device / kPageBytes;
  Recent& recent = recent_[key % recent_.size()];
  if (recent.key == key) return *recent.page;
  const auto [found, added] = pages_.try_emplace(key);
  if (added && key != 0) found->second.host = memory_.address(key * kPageBytes, kPageBytes);
  recent = {key, &found->second};
  return found->second;
}

Conflict GlobalShadow::conflict(const char* what, const Access& other) const {
  const bool here = other.segment >= order_.epoch_first();
  return {what, true, {other.thread, other.code}, here ? 0 : other.segment};
}

void GlobalShadow::note_reader(Readers& readers, const Access& reader) const {
  Access& newest = readers[0];
  Access next = reader;
  if (newest.segment != 0) {
    next.constant = newest.constant | readers[1].constant | reader.constant;
    const bool same_block = order_.serial_of(newest.segment) == order_.serial_of(reader.segment);
    if (newest.segment >= order_.epoch_first()) {
      next.many = newest.many | (newest.thread != reader.thread ? 1U : 0U);
    } else if (!same_block) {
      readers[1] = newest;
    }
  }
  newest = next;
}

GlobalShadow::Access GlobalShadow::access_of(const Touch& touch) const {
  Access access;
  access.segment = order_.segment();
  access.code = touch.code & (kCodeMax - 1);
  access.thread = touch.thread & (kThreadsMax - 1);
  access.constant = touch.constant ? 1 : 0;
  return access;
}

std::optional<Conflict> GlobalShadow::read(std::uint64_t device, std::size_t bytes, const Touch& touch) {
  Page& page = page_of(device);
  if (page.reads == nullptr) page.reads = std::make_unique<Readers[]>(kPageBytes / granule_);
  const std::size_t first = device % kPageBytes / granule_;
  const std::size_t end = first + (bytes + granule_ - 1) / granule_;
  const Access reader = access_of(touch);
  for (const Access* const writes : {page.writes.get(), page.atomics.get()}) {
    for (std::size_t at = first; writes != nullptr && at < end; ++at) {
      if (touch.constant && writes[at].segment != 0) {
        return conflict("ld.global.nc of memory that this launch writes", writes[at]);
      }
      if (!ordered(writes[at], touch)) {
        return conflict("a race: global memory is read that another thread writes, and nothing orders them",
                        writes[at]);
      }
    }
  }
  for (std::size_t at = first; at < end; ++at) note_reader(page.reads[at], reader);
  return std::nullopt;
}

std::optional<Conflict> GlobalShadow::write(std::uint64_t device, std::size_t bytes, const Touch& touch) {
  Page& page = page_of(device);
  std::unique_ptr<Access[]>& mine = touch.atomic ? page.atomics : page.writes;
  if (mine == nullptr) mine = std::make_unique<Access[]>(kPageBytes / granule_);
  const std::size_t first = device % kPageBytes / granule_;
  const std::size_t end = first + (bytes + granule_ - 1) / granule_;
  for (std::size_t at = first; at < end; ++at) {
    for (const Access* const writes : {page.writes.get(), page.atomics.get()}) {
      const bool both_atomic = touch.atomic && writes == page.atomics.get();
      if (writes == nullptr || both_atomic || ordered(writes[at], touch)) continue;
      return conflict("a race: two threads write the same global memory, and nothing orders them",
                      writes[at]);
    }
    for (std::size_t reader = 0; page.reads != nullptr && reader < 2; ++reader) {
      const Access& read = page.reads[at][reader];
      if (read.constant != 0)
        return conflict("memory is written that this launch reads by ld.global.nc", read);
      if (!ordered(read, touch)) {
        return conflict("a race: global memory is written that another thread reads, and nothing orders them",
                        read);
      }
    }
    const bool alone = ordered(mine[at], touch);  // Else both are atomic.
    if (!alone && mine[at].segment < order_.epoch_first()) continue;
    mine[at] = access_of(touch);
    mine[at].many = alone ? 0 : 1;
  }
  return std::nullopt;
}

}  // namespace ptx
