{
  "targets": [
    {
      "target_name": "trt_asr",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt", "tools/native-build/build.js"],
          "outputs": ["build/Release/trt_asr.node"],
          "action": ["node", "tools/native-build/build.js"]
        }
      ]
    }
  ]
}
