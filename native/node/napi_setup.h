#pragma once
// The one place that includes napi.h.

#include <napi.h>

#include "base/result.h"
