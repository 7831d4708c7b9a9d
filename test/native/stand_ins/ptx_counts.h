#pragma once
// What launches counted, added up by kernel and told at exit. With STAND_IN_COUNTS=1 in the environment.

#include <string>

#include "../ptx/machine.h"

namespace stand_in {

bool counting() noexcept;
void count_launch(const std::string& kernel, const ptx::Launch& launch, const ptx::Counts& counts);

}  // namespace stand_in
