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
    if (cell.writer != 0 && cell.writer != thread) {
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
    if (cell.writer != 0 && cell.writer != thread && !(cell.atomic && touch.atomic)) {
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

std::optional<Conflict> GlobalShadow::read(std::uint64_t device, std::size_t bytes, const Touch& touch) {
  Page& page = page_of(device);
  const std::size_t cells = kPageBytes / granule_;
  if (page.reads == nullptr) page.reads = std::make_unique<Readers[]>(cells);
  const std::size_t first = device % kPageBytes / granule_;
  const std::size_t end = first + (bytes + granule_ - 1) / granule_;
  Access reader;
  reader.segment = order_.segment();
  reader.code = touch.code & (kCodeMax - 1);
  reader.thread = touch.thread & (kThreadsMax - 1);
  reader.constant = touch.constant ? 1 : 0;
  for (std::size_t at = first; at < end; ++at) {
    if (page.writes != nullptr && page.writes[at].segment != 0) {
      const Access& write = page.writes[at];
      if (touch.constant) return conflict("ld.global.nc of memory that this launch writes", write);
      if (!ordered(write, touch) || many_now(write)) {
        return conflict("a race: global memory is read that another thread writes, and nothing orders them",
                        write);
      }
    }
    note_reader(page.reads[at], reader);
  }
  return std::nullopt;
}

std::optional<Conflict> GlobalShadow::write(std::uint64_t device, std::size_t bytes, const Touch& touch) {
  Page& page = page_of(device);
  const std::size_t cells = kPageBytes / granule_;
  if (page.writes == nullptr) page.writes = std::make_unique<Access[]>(cells);
  const std::size_t first = device % kPageBytes / granule_;
  const std::size_t end = first + (bytes + granule_ - 1) / granule_;
  for (std::size_t at = first; at < end; ++at) {
    Access& write = page.writes[at];
    const bool alone = ordered(write, touch) && !many_now(write);
    const bool both_atomic = write.atomic != 0 && touch.atomic;
    if (!alone && !both_atomic) {
      return conflict("a race: two threads write the same global memory, and nothing orders them", write);
    }
    if (page.reads != nullptr) {
      for (const Access& read : page.reads[at]) {
        if (read.constant != 0)
          return conflict("memory is written that this launch reads by ld.global.nc", read);
        if (!ordered(read, touch) || many_now(read)) {
          return conflict(
              "a race: global memory is written that another thread reads, and nothing orders them", read);
        }
      }
    }
    if (!alone && write.segment < order_.epoch_first()) continue;  // The one that nothing orders tells more.
    // A block's plain write stays one for the others, whatever it does after.
    const bool plain_before = write.segment >= order_.block_first() && write.atomic == 0;
    write.many = alone ? 0 : 1;
    write.segment = order_.segment();
    write.code = touch.code & (kCodeMax - 1);
    write.thread = touch.thread & (kThreadsMax - 1);
    write.atomic = touch.atomic && !plain_before ? 1 : 0;
  }
  return std::nullopt;
}

}  // namespace ptx
