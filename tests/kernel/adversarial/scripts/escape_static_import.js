// ends: error
import fs from "fs";
function process() { Info("HARM"); }
