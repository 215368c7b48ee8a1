for (const slider of document.querySelectorAll(".slider")) {
  slider.querySelector("input").addEventListener("input", (event) => {
    slider.style.setProperty("--cut", event.target.value + "%");
  });
}
